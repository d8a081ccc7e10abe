"""What the shipped demonstration model knows of phantom patients that it never saw, and that this can fail.

    python benchmarks/evaluate_demo.py [--pictures 3000] [--model demo]

    held-out phantoms ──embed once──▶ modality top-1      among all modalities' names
                                      finding AUC         one against the rest of its own modality's pictures
                                      the same, shuffled  the truth permuted within a modality: near 0.5
                                      laterality top-1    the caption with the right side against that with the other
                                      recall@10           the first 1,000 pictures, asked by whole captions

A caption is `Phantom.prompt`: modality, anatomy, view, finding. Pictures with the same caption are all right answers
to it. The caption of a side puts it before the finding: "x-ray chest anteroposterior left pneumothorax".
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import dualsight
from dualsight.learn.adapt import PromptEnsemble
from dualsight.learn.evaluate.bootstrap import interval, resampled_aucs
from dualsight.learn.evaluate.retrieval import retrieval
from dualsight.learn.metrics import roc_auc
from dualsight.learn.phantom.base import Modality, Side
from dualsight.learn.phantom.catalogue import HELD_OUT, MODALITIES, Phantom, draw_many
from dualsight.learn.zero_shot import label_vector
from dualsight.task.model import Model

Vectors = NDArray[np.float32]
Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]

SEARCHED = 1000
SEED = 0
SHUFFLES = 20  # averaged: one alone strays by 0.03 where findings are rare
SIZE = 256  # drawn larger than the model's input, and resized as a user's pictures are


def main() -> None:
    """Measures, and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--model", default="demo")
    asked = parser.parse_args()
    model = dualsight.load(asked.model)
    truths, vectors = embed(model, asked.pictures)
    parts = list(scored(model, truths, vectors))
    aucs = finding_aucs(parts, None)
    rng = np.random.default_rng(SEED)
    shuffled = [float(np.mean(list(finding_aucs(parts, rng).values()))) for _ in range(SHUFFLES)]
    found = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "pictures": len(truths),
        "modality_top1": modality_top1(model, truths, vectors),
        "findings": len(aucs),
        "mean_finding_auc": float(np.mean(list(aucs.values()))),
        "mean_finding_auc_95": mean_interval(parts),
        "worst_findings": dict(sorted(aucs.items(), key=lambda item: item[1])[:5]),
        "mean_finding_auc_shuffled": float(np.mean(shuffled)),
        "laterality": laterality(model, truths, vectors),
        "recall_at_10": recall(model, truths[:SEARCHED], vectors[:SEARCHED]),
    }
    print(json.dumps(found, indent=2))


def embed(model: Model, n: int) -> tuple[list[Phantom], Vectors]:
    """n phantoms of patients from HELD_OUT on, without their pixels, and their vectors [n, D]."""
    truths: list[Phantom] = []
    nothing = np.zeros((0, 0), np.uint8)

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for phantom in draw_many(HELD_OUT, n, size=SIZE):
            truths.append(replace(phantom, pixels=nothing, mask=nothing.astype(bool)))
            yield phantom.pixels

    vectors = model.encode_image(pictures(), batch_size=32)
    return truths, vectors


def modality_top1(model: Model, truths: Sequence[Phantom], vectors: Vectors) -> float:
    """The share whose modality's name is the most similar of all names."""
    names = model.encode_text([f"{modality.name} {modality.anatomy}" for modality in MODALITIES])
    said = (vectors @ names.T).argmax(axis=1)
    return float(np.mean([MODALITIES[i] is truth.modality for i, truth in zip(said, truths, strict=True)]))


def scored(model: Model, truths: Sequence[Phantom], vectors: Vectors) -> Iterator[tuple[Modality, Scores, Truth]]:
    """Of each modality the probabilities and the truth of its findings, both [its pictures, its findings]."""
    for modality in MODALITIES:
        own = [i for i, truth in enumerate(truths) if truth.modality is modality]
        findings = np.array([truths[i].finding or modality.normal for i in own])
        truth = findings[:, None] == np.array(modality.findings)[None, :]
        yield modality, finding_scores(model, modality, vectors[own]), truth


def finding_aucs(
    parts: Sequence[tuple[Modality, Scores, Truth]], shuffle: np.random.Generator | None
) -> dict[str, float]:
    """AUC of each finding of each modality; with the truth permuted among a modality's pictures, where asked for."""
    aucs: dict[str, float] = {}
    for modality, scores, truth in parts:
        right = truth if shuffle is None else shuffle.permutation(truth)
        for name, score, is_right in zip(modality.findings, scores.T, right.T, strict=True):
            aucs[f"{modality.name} {modality.anatomy}: {name}"] = roc_auc(score, is_right)
    return aucs


def mean_interval(parts: Sequence[tuple[Modality, Scores, Truth]]) -> tuple[float, float] | None:
    """The 95 % interval of the mean over findings, by bootstrap over patients, who have one picture each."""
    rng = np.random.default_rng(SEED)
    areas = [resampled_aucs(scores, truth, np.arange(len(truth)), rng) for _, scores, truth in parts]
    return interval(np.concatenate(areas, axis=1).mean(axis=1))


def finding_scores(model: Model, modality: Modality, vectors: Vectors) -> Scores:
    """Probabilities [n, findings] of a modality's pictures, among its findings and none."""
    words = np.stack([label_vector(model, modality, label) for label in (None, *modality.findings)])
    head = PromptEnsemble(words, logit_scale=model.logit_scale).fit(words)
    return head.predict_proba(vectors)[:, 1:]


def laterality(model: Model, truths: Sequence[Phantom], vectors: Vectors) -> dict[str, float]:
    """Of phantoms whose finding has a side: how often the caption of that side is the more similar one."""
    sided = [(truth, vector) for truth, vector in zip(truths, vectors, strict=True) if truth.side is not None]
    right = [
        bool(np.diff(model.encode_text([_caption(truth, side) for side in ("left", "right")]) @ vector)[0] > 0)
        == (truth.side == "right")
        for truth, vector in sided
    ]
    found = {"pictures": float(len(right)), "top1": float(np.mean(right))}
    for modality in MODALITIES:
        own = [r for r, (truth, _) in zip(right, sided, strict=True) if truth.modality is modality]
        if own:
            found[f"{modality.name} {modality.anatomy}"] = float(np.mean(own))
    return found


def _caption(truth: Phantom, side: Side) -> str:
    return truth.modality.prompt(truth.view, f"{side} {truth.finding}")


def recall(model: Model, truths: Sequence[Phantom], vectors: Vectors) -> dict[str, float]:
    """Whole captions against pictures, both ways."""
    captions = [truth.prompt for truth in truths]
    texts = list(dict.fromkeys(captions))
    found = retrieval(vectors, model.encode_text(texts), [texts.index(caption) for caption in captions])
    at_10 = found.ks.index(10)
    return {
        "images": float(found.n_images),
        "texts": float(found.n_texts),
        "text_to_image": found.text_to_image[at_10],
        "image_to_text": found.image_to_text[at_10],
    }


if __name__ == "__main__":
    main()
