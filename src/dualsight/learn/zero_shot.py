"""How well a model names phantoms it has never seen, by words alone.

phantoms ──embed once──▶ modality    top-1 among all modalities' names
                         findings    each against the rest of its own modality's pictures, normal and otherwise
                                     (the harder question: the modality gives nothing away), as the area under
                                     the ROC curve of its probability among the modality's labels
                         absence     "pneumonia" against "no pneumonia", by the same curve
                         laterality  the prompt with the right side against that with the other, where the view
                                     does not name the side
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.metrics import roc_auc
from dualsight.learn.phantom.base import SIDES, Modality
from dualsight.learn.phantom.catalogue import MODALITIES, Phantom
from dualsight.task.classify import probabilities
from dualsight.task.model import Model


@dataclass(frozen=True, slots=True)
class FindingAuc:
    """One finding's area under the curve, and what it was measured on."""

    modality: str
    finding: str
    auc: float
    absence_auc: float  # of the finding against its denial
    positives: int
    negatives: int


@dataclass(frozen=True, slots=True)
class ZeroShotReport:
    """Figures over held-out phantoms."""

    pictures: int
    modality_top1: float
    laterality_top1: float
    findings: tuple[FindingAuc, ...]

    @property
    def mean_auc(self) -> float:
        """Mean over findings, each counting once."""
        return float(np.mean([finding.auc for finding in self.findings]))

    @property
    def mean_absence_auc(self) -> float:
        """The same of findings against their denials."""
        return float(np.mean([finding.absence_auc for finding in self.findings]))


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Phantoms as the model sees them: their truths, without pixels and masks, and float32 vectors [n, D]."""

    truths: Sequence[Phantom]
    vectors: NDArray[np.float32]


def show(model: Model, phantoms: Iterable[Phantom]) -> Shown:
    """Embeds phantoms as a user would, keeping no picture."""
    truths: list[Phantom] = []
    nothing = np.zeros((0, 0), np.uint8)

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for phantom in phantoms:
            truths.append(replace(phantom, pixels=nothing, mask=nothing.astype(bool)))
            yield phantom.pixels

    vectors = model.encode_image(pictures(), batch_size=32)
    return Shown(truths, vectors)


def measure(model: Model, shown: Shown, *, shuffle: np.random.Generator | None = None) -> ZeroShotReport:
    """All figures. `shuffle` permutes the findings among a modality's pictures: a check that AUC can be near 0.5."""
    findings: list[FindingAuc] = []
    for modality in MODALITIES:
        own = [i for i, truth in enumerate(shown.truths) if truth.modality is modality]
        if own:
            truth = [shown.truths[i].finding for i in own]
            if shuffle is not None:
                truth = [truth[i] for i in shuffle.permutation(len(truth))]
            findings.extend(_finding_aucs(model, modality, shown.vectors[own], truth))
    sides = [right for _, right in laterality(model, shown)]
    return ZeroShotReport(len(shown.truths), modality_top1(model, shown), float(np.mean(sides)), tuple(findings))


def modality_top1(model: Model, shown: Shown) -> float:
    """The share whose modality's name is the most similar of all names."""
    names = model.encode_text([f"{modality.name} {modality.anatomy}" for modality in MODALITIES])
    said = (shown.vectors @ names.T).argmax(axis=1)
    return float(np.mean([MODALITIES[i] is truth.modality for i, truth in zip(said, shown.truths, strict=True)]))


def laterality(model: Model, shown: Shown) -> list[tuple[Modality, bool]]:
    """Of each phantom whose finding has a side: whether the prompt of that side is the more similar one.

    Without those whose view names it ("left eye"): it would be in both prompts, and give nothing to choose.
    """
    found: list[tuple[Modality, bool]] = []
    for truth, vector in zip(shown.truths, shown.vectors, strict=True):
        if truth.side is not None and not any(side in truth.view for side in SIDES):
            prompts = [truth.modality.prompt(truth.view, f"{side} {truth.finding}") for side in SIDES]
            said = SIDES[int((model.encode_text(prompts) @ vector).argmax())]
            found.append((truth.modality, said == truth.side))
    return found


def _finding_aucs(
    model: Model, modality: Modality, vectors: NDArray[np.float32], truth: list[str | None]
) -> list[FindingAuc]:
    labels = (None, *modality.findings)
    prompts = np.stack([label_vector(model, modality, label) for label in labels])  # [1 + findings, D]
    scores = np.stack([probabilities(v, prompts, model.logit_scale, multilabel=False) for v in vectors])
    denials = np.stack([label_vector(model, modality, f"no {finding}") for finding in modality.findings])
    presence = vectors @ (prompts[1:] - denials).T  # [n, findings]
    results: list[FindingAuc] = []
    for column, finding in enumerate(modality.findings, start=1):
        positives = np.array([t == finding for t in truth])
        if positives.any() and not positives.all():
            results.append(
                FindingAuc(
                    modality=f"{modality.name} {modality.anatomy}",
                    finding=finding,
                    auc=roc_auc(scores[:, column], positives),
                    absence_auc=roc_auc(presence[:, column - 1], positives),
                    positives=int(positives.sum()),
                    negatives=int((~positives).sum()),
                )
            )
    return results


def label_vector(model: Model, modality: Modality, finding: str | None) -> NDArray[np.float32]:
    """[D]: the normalised mean of a finding's prompts over the modality's views."""
    mean = model.encode_text([modality.prompt(view, finding) for view in modality.views]).mean(0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)
