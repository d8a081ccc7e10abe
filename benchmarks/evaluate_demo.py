"""What the shipped demonstration model knows of phantom patients that it never saw, and that this can fail.

    python benchmarks/evaluate_demo.py [--pictures 3000] [--model demo]

    held-out phantoms ──embed once──▶ as in dualsight.learn.zero_shot, and
                                      finding AUC         with its interval
                                      the same, shuffled  the truth permuted within a modality: near 0.5
                                      recall@10           the first 1,000 pictures, asked by whole captions

A caption is `Phantom.prompt`: modality, anatomy, view, finding. Pictures with the same caption are all right answers
to it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

import dualsight
from dualsight.learn.adapt import PromptEnsemble
from dualsight.learn.evaluate.bootstrap import interval, resampled_aucs
from dualsight.learn.evaluate.retrieval import retrieval
from dualsight.learn.metrics import roc_auc
from dualsight.learn.phantom.base import Modality
from dualsight.learn.phantom.catalogue import HELD_OUT, MODALITIES, Phantom, draw_many
from dualsight.learn.zero_shot import Shown, label_vector, laterality, measure, modality_top1, show
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
    shown = show(model, draw_many(HELD_OUT, asked.pictures, size=SIZE))
    parts = list(scored(model, shown))
    aucs = finding_aucs(parts, None)
    rng = np.random.default_rng(SEED)
    shuffled = [float(np.mean(list(finding_aucs(parts, rng).values()))) for _ in range(SHUFFLES)]
    found = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "pictures": len(shown.truths),
        "modality_top1": modality_top1(model, shown),
        "findings": len(aucs),
        "mean_finding_auc": float(np.mean(list(aucs.values()))),
        "mean_finding_auc_95": mean_interval(parts),
        "worst_findings": dict(sorted(aucs.items(), key=lambda item: item[1])[:5]),
        "mean_finding_auc_shuffled": float(np.mean(shuffled)),
        "mean_absence_auc": measure(model, shown).mean_absence_auc,
        "laterality": sides(model, shown),
        "recall_at_10": recall(model, shown.truths[:SEARCHED], shown.vectors[:SEARCHED]),
    }
    print(json.dumps(found, indent=2))


def scored(model: Model, shown: Shown) -> Iterator[tuple[Modality, Scores, Truth]]:
    """Of each modality the probabilities and the truth of its findings, both [its pictures, its findings]."""
    for modality in MODALITIES:
        own = [i for i, truth in enumerate(shown.truths) if truth.modality is modality]
        findings = np.array([shown.truths[i].finding or modality.normal for i in own])
        truth = findings[:, None] == np.array(modality.findings)[None, :]
        yield modality, finding_scores(model, modality, shown.vectors[own]), truth


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


def sides(model: Model, shown: Shown) -> dict[str, float]:
    """How often the prompt of the right side is the more similar one, over all that have a side and by modality."""
    rights = laterality(model, shown)
    found = {"pictures": float(len(rights)), "top1": float(np.mean([right for _, right in rights]))}
    for modality in MODALITIES:
        own = [right for m, right in rights if m is modality]
        if own:
            found[f"{modality.name} {modality.anatomy}"] = float(np.mean(own))
    return found


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
