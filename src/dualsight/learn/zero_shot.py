"""How well a model names phantoms it has never seen, by words alone.

Modality: top-1 among all modalities' names. Findings: for each finding of each modality, one against the rest
of *that modality's* pictures, normal and otherwise (the harder question: the modality gives nothing away),
as the area under the ROC curve of the finding's probability among the modality's labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.metrics import roc_auc
from dualsight.learn.phantom.base import Modality
from dualsight.learn.phantom.catalogue import MODALITIES, Phantom
from dualsight.task.classify import probabilities
from dualsight.task.model import Model


@dataclass(frozen=True, slots=True)
class FindingAuc:
    """One finding's area under the curve, and what it was measured on."""

    modality: str
    finding: str
    auc: float
    positives: int
    negatives: int


@dataclass(frozen=True, slots=True)
class ZeroShotReport:
    """Figures over held-out phantoms."""

    pictures: int
    modality_top1: float
    findings: tuple[FindingAuc, ...]

    @property
    def mean_auc(self) -> float:
        """Mean over findings, each counting once."""
        return float(np.mean([finding.auc for finding in self.findings]))


def measure(model: Model, phantoms: Iterable[Phantom], *, shuffle: np.random.Generator | None = None) -> ZeroShotReport:
    """Embeds the phantoms as a user would and asks by prompts.

    `shuffle` permutes the truth among a modality's pictures: a check that the measure can fail (AUC near 0.5).
    """
    truths, pictures = [], []
    for phantom in phantoms:
        truths.append((phantom.modality, phantom.finding))
        pictures.append(phantom.pixels)
    vectors = model.encode_image(pictures, batch_size=32)
    names = model.encode_text([f"{m.name} {m.anatomy}" for m in MODALITIES])
    chosen = (vectors @ names.T).argmax(1)
    right = [MODALITIES[index] is modality for index, (modality, _) in zip(chosen, truths, strict=True)]
    findings: list[FindingAuc] = []
    for modality in MODALITIES:
        own = [i for i, (m, _) in enumerate(truths) if m is modality]
        if own:
            truth = [truths[i][1] for i in own]
            if shuffle is not None:
                truth = [truth[i] for i in shuffle.permutation(len(truth))]
            findings.extend(_finding_aucs(model, modality, vectors[own], truth))
    return ZeroShotReport(len(truths), float(np.mean(right)), tuple(findings))


def _finding_aucs(
    model: Model, modality: Modality, vectors: NDArray[np.float32], truth: list[str | None]
) -> list[FindingAuc]:
    labels = (None, *modality.findings)
    prompts = np.stack([label_vector(model, modality, label) for label in labels])  # [1 + findings, D]
    scores = np.stack([probabilities(v, prompts, model.logit_scale, multilabel=False) for v in vectors])
    results = []
    for column, finding in enumerate(modality.findings, start=1):
        positives = np.array([t == finding for t in truth])
        if positives.any() and not positives.all():
            auc = roc_auc(scores[:, column], positives)
            results.append(
                FindingAuc(
                    f"{modality.name} {modality.anatomy}", finding, auc, int(positives.sum()), int((~positives).sum())
                )
            )
    return results


def label_vector(model: Model, modality: Modality, finding: str | None) -> NDArray[np.float32]:
    """[D]: the normalised mean of a finding's prompts over the modality's views."""
    mean = model.encode_text([modality.prompt(view, finding) for view in modality.views]).mean(0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)
