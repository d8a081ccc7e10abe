"""What a head on frozen embeddings adds to zero-shot, on phantoms of patients that nothing was trained on.

    python benchmarks/adapters.py       # the demonstration model, 20,000 phantoms to learn from, 6,000 to test

Findings: within each modality, one finding against the rest, ROC AUC, mean over findings. Modality: top-1 among all.
Laterality: left or right, of chest X-rays whose finding has a side.
Last, k-NN on the real pictures of tests/data/images: each by all others (the demonstration model has seen none).
Embeddings are kept in a folder of the system's temporary ones, by the model's fingerprint.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import dualsight
from dualsight.image.dicom.meta import prompt_words
from dualsight.image.frame import FrameMeta
from dualsight.learn.adapt import KNearest, LinearProbe, MlpAdapter, PromptEnsemble, TipAdapter
from dualsight.learn.adapt.head import Head
from dualsight.learn.metrics import roc_auc
from dualsight.learn.neighbours import nearest_votes
from dualsight.learn.phantom.base import SIDES, Modality
from dualsight.learn.phantom.catalogue import HELD_OUT, MODALITIES, draw_many
from dualsight.learn.phantom.xray import CHEST
from dualsight.learn.zero_shot import label_vector
from dualsight.task.embed import Embedded
from dualsight.task.model import Model

ROOT = Path(__file__).parents[1]
FIRST = HELD_OUT + 40_000_000  # of the patients: no other measurement uses these
CHUNK = 500
SAME = 0.9999
EPOCHS = 10  # of the MLP, chosen of 8, 10, 15 and 40 on a quarter of the phantoms to learn from


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Phantoms:
    """n embedded phantoms: vectors [n, D]; modality, finding and side of each, "" for none."""

    vectors: NDArray[np.float32]
    modality: NDArray[np.str_]
    finding: NDArray[np.str_]
    side: NDArray[np.str_]

    def only(self, rows: NDArray[np.bool_]) -> Phantoms:
        """Those of a mask [n]."""
        return Phantoms(
            vectors=self.vectors[rows], modality=self.modality[rows], finding=self.finding[rows], side=self.side[rows]
        )


def heads(words: NDArray[np.float32], scale: float) -> Iterator[tuple[str, Head]]:
    """The methods, for labels in the order of `words`."""
    yield "zero-shot", PromptEnsemble(words, logit_scale=scale)
    yield "linear", LinearProbe()
    yield "knn", KNearest()
    yield "mlp", MlpAdapter(epochs=EPOCHS)
    yield "tip", TipAdapter(words, logit_scale=scale)


def name_of(modality: Modality) -> str:
    """As in "x-ray chest"."""
    return f"{modality.name} {modality.anatomy}"


def embedded(model: Model, first: int, n: int) -> Phantoms:
    """n phantoms of patients from `first` on, from the temporary folder or drawn and embedded now, in chunks."""
    folder = Path(tempfile.gettempdir()) / f"dualsight-phantoms-{model.fingerprint[:16]}"
    folder.mkdir(exist_ok=True)
    parts = []
    for start in range(first, first + n, CHUNK):
        path = folder / f"{start}-{CHUNK}.npz"
        if not path.exists():
            drawn = list(draw_many(start, CHUNK, size=model.config.preprocessing.height))
            part = path.with_suffix(".part.npz")
            np.savez(
                part,
                vectors=model.encode_image([one.pixels for one in drawn], batch_size=32),
                modality=[name_of(one.modality) for one in drawn],
                finding=[one.finding or "" for one in drawn],
                side=[one.side or "" for one in drawn],
            )
            part.replace(path)
        with np.load(path, allow_pickle=False) as arrays:
            parts.append({key: arrays[key] for key in arrays.files})
    return Phantoms(**{key: np.concatenate([part[key] for part in parts])[:n] for key in parts[0]})


def modality_accuracy(model: Model, train: Phantoms, test: Phantoms) -> dict[str, float]:
    """Top-1 by method."""
    names = np.array([name_of(modality) for modality in MODALITIES])
    words = model.encode_text(list(names))
    code = {name: number for number, name in enumerate(names)}
    known, truth = (np.array([code[name] for name in phantoms.modality]) for phantoms in (train, test))
    return {
        method: float(head.fit(train.vectors, known).score(test.vectors, truth))
        for method, head in heads(words, model.logit_scale)
    }


def finding_aucs(model: Model, train: Phantoms, test: Phantoms) -> dict[str, dict[str, list[float]]]:
    """ROC AUC of each finding by method and modality."""
    areas: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for modality in MODALITIES:
        name = name_of(modality)
        labels = ("", *modality.findings)
        words = np.stack([label_vector(model, modality, label or None) for label in labels])
        known, held = (phantoms.only(phantoms.modality == name) for phantoms in (train, test))
        code = {label: number for number, label in enumerate(labels)}
        y = np.array([code[finding] for finding in known.finding])
        for method, head in heads(words, model.logit_scale):
            scores = head.fit(known.vectors, y).predict_proba(held.vectors)
            areas[method][name] = [
                roc_auc(scores[:, code[finding]], held.finding == finding) for finding in modality.findings
            ]
    return areas


def laterality_accuracy(model: Model, train: Phantoms, test: Phantoms) -> dict[str, float]:
    """Top-1 by method, on chest X-rays whose finding has a side."""
    known, held = (p.only((p.modality == "x-ray chest") & (p.side != "")) for p in (train, test))
    y, truth = ((p.side == SIDES[1]).astype(int) for p in (known, held))
    lateral = sorted(set(known.finding))
    words = np.stack(
        [np.mean([label_vector(model, CHEST, f"{side} {name}") for name in lateral], axis=0) for side in SIDES]
    )
    return {
        method: float(head.fit(known.vectors, y).score(held.vectors, truth))
        for method, head in heads(words, model.logit_scale)
    }


def real_modalities(model: Model) -> Iterator[tuple[str, str, str]]:
    """(picture, its modality, that of the 3 nearest others) of all whose manifest or DICOM header says one.

    Others that are the same picture in another encoding (cosine of at least SAME) are not asked.
    """
    folder = ROOT / "tests" / "data" / "images"
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found: list[tuple[str, str, NDArray[np.float32]]] = []
    for result in model.embed([folder / row["path"] for row in rows]):
        if isinstance(result, Embedded):
            path, said = rows[result.index]["path"], rows[result.index]["modality"].split()
            modality = said[0] if said else prompt_words(FrameMeta(modality=result.meta.modality))
            if modality:
                found.append((path, modality, result.vector))
    vectors = np.stack([vector for _, _, vector in found])
    kinds = sorted({modality for _, modality, _ in found})
    indicator = np.eye(len(kinds))[[kinds.index(modality) for _, modality, _ in found]]
    for i, (path, modality, vector) in enumerate(found):
        others = vectors @ vector < SAME
        others[i] = False
        votes = nearest_votes(vectors[[i]], vectors[others], indicator[others], neighbours=3)
        yield path, modality, kinds[int(votes.argmax())]


def timed(what: str, work: Callable[[], Phantoms]) -> Phantoms:
    """The phantoms, after saying how long they took."""
    start = time.perf_counter()
    phantoms = work()
    print(f"{len(phantoms.vectors):,} {what}: {time.perf_counter() - start:.1f} s")
    return phantoms


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--train", type=int, default=20_000)
    parser.add_argument("--test", type=int, default=6_000)
    asked = parser.parse_args()
    model = dualsight.load(asked.model)
    test = timed("to test", lambda: embedded(model, FIRST, asked.test))
    train = timed("to learn from", lambda: embedded(model, FIRST + 10_000_000, asked.train))

    areas = finding_aucs(model, train, test)
    modality, side = modality_accuracy(model, train, test), laterality_accuracy(model, train, test)
    table = Table("method", "findings, macro AUC", "modality top-1", "laterality top-1")
    for method, by_modality in areas.items():
        mean = np.nanmean([area for own in by_modality.values() for area in own])
        table.add_row(method, f"{mean:.4f}", f"{modality[method]:.4f}", f"{side[method]:.3f}")
    console = Console(width=120)
    console.print(table)
    table = Table("modality (macro AUC)", *areas)
    for name in areas["zero-shot"]:
        table.add_row(name, *(f"{np.nanmean(by_modality[name]):.4f}" for by_modality in areas.values()))
    console.print(table)
    found = list(real_modalities(model))
    table = Table("real pictures", "n", "named right by their 3 neighbours", "named as")
    for kind in sorted({truth for _, truth, _ in found}):
        guesses = Counter(guess for _, truth, guess in found if truth == kind)
        named = ", ".join(f"{guess} {n}" for guess, n in guesses.most_common())
        table.add_row(kind, str(guesses.total()), str(guesses[kind]), named)
    console.print(table)
    right = sum(truth == guess for _, truth, guess in found)
    print(f"k-NN modality of real pictures: {right} of {len(found)} right ({right / len(found):.3f})")
    for path, _, guess in found:
        if path.startswith("torchxrayvision"):
            print(f"the chest X-ray {path}: {guess}")


if __name__ == "__main__":
    main()
