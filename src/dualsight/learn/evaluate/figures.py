"""Scores of pictures and what is true of them → figures, each with its doubt, or with why there is none.

n pictures, k labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.evaluate.bootstrap import interval, resampled_aucs
from dualsight.learn.evaluate.thresholds import RULES, LabelThresholds, Rule

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

CURVE_POINTS = 200  # of a curve that is kept to be drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number, perhaps with its 95 % interval; or None, and the reason."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """What a threshold does. f1: of sensitivity and precision."""

    rule: Rule
    threshold: float
    sensitivity: float
    specificity: float
    accuracy: float
    balanced_accuracy: float
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points of a curve in 0…1, by rising x."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFigures:
    """One label against all else. sensitivity: the most of it on these pictures at the specificity asked for.

    points: at thresholds chosen beforehand; none where no threshold could be chosen, or the figures have a reason.
    roc: sensitivity over 1 - specificity. pr: precision over sensitivity. None where undefined.
    """

    label: str
    positives: int
    negatives: int
    auc: Figure
    average_precision: Figure
    sensitivity: Figure
    points: tuple[OperatingPoint, ...]
    roc: Curve | None
    pr: Curve | None


def label_figures(
    labels: Sequence[str],
    scores: Floats,
    truth: Truth,
    patients: NDArray[np.int64],
    thresholds: Sequence[LabelThresholds | None],
    *,
    specificity: float,
    rng: np.random.Generator,
) -> tuple[tuple[LabelFigures, ...], Figure]:
    """Figures of each label, and the mean AUC of those that have one. scores, truth [n, k]; patients [n], from 0."""
    resamples = resampled_aucs(scores, truth, patients, rng)  # [B, k]
    figures = tuple(
        _one_label(label, scores[:, j], truth[:, j], resamples[:, j], thresholds[j], specificity)
        for j, label in enumerate(labels)
    )
    defined = [j for j, figure in enumerate(figures) if figure.auc.value is not None]
    whole = resamples[:, defined][~np.isnan(resamples[:, defined]).any(axis=1)]
    return figures, mean_figure([f.auc for f in figures], whole.mean(axis=1) if defined else np.empty(0))


def mean_figure(figures: Sequence[Figure], resamples: Floats | None = None) -> Figure:
    """The mean of those that have a value, each counting once; None where none has. resamples [B]: of that mean."""
    values = [figure.value for figure in figures if figure.value is not None]
    if not values:
        return Figure(value=None, reason="no label has both pictures with and without it")
    left_out = len(figures) - len(values)
    reason = f"without {left_out} of {len(figures)} labels, which have none" if left_out else ""
    low, high = (interval(resamples) if resamples is not None else None) or (None, None)
    return Figure(value=float(np.mean(values)), low=low, high=high, reason=reason)


def _one_label(
    label: str, scores: Floats, truth: NDArray[np.bool_], resamples: Floats, chosen: LabelThresholds | None, kept: float
) -> LabelFigures:
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        none = Figure(value=None, reason=f"{'no' if not positives else 'every'} picture has the label")
        return LabelFigures(
            label=label, positives=positives, negatives=negatives, auc=none, average_precision=none, sensitivity=none,
            points=(), roc=None, pr=None,
        )  # fmt: skip
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(truth, scores)
    low, high = interval(resamples) or (None, None)
    return LabelFigures(
        label=label,
        positives=positives,
        negatives=negatives,
        auc=Figure(value=float(roc_auc_score(truth, scores)), low=low, high=high),
        average_precision=Figure(value=float(average_precision_score(truth, scores))),
        sensitivity=Figure(value=float(true[1 - false >= kept - 1e-12].max())),
        points=tuple(operating_point(rule, getattr(chosen, rule), scores, truth) for rule in RULES) if chosen else (),
        roc=_thinned(false, true),
        pr=_thinned(recall[::-1], precision[::-1]),
    )


def operating_point(rule: Rule, threshold: float, scores: Floats, truth: NDArray[np.bool_]) -> OperatingPoint:
    """What the threshold does to scores [n], where pictures with and without the label are there."""
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

    said = scores >= threshold
    return OperatingPoint(
        rule=rule,
        threshold=threshold,
        sensitivity=float(recall_score(truth, said)),
        specificity=float(recall_score(~truth, ~said)),
        accuracy=float(accuracy_score(truth, said)),
        balanced_accuracy=float(balanced_accuracy_score(truth, said)),
        f1=float(f1_score(truth, said, zero_division=0.0)),
    )


def _thinned(x: Floats, y: Floats) -> Curve:
    step = math.ceil(len(x) / CURVE_POINTS)
    kept = np.unique(np.r_[np.arange(0, len(x), step), len(x) - 1])
    return Curve(x=tuple(x[kept].round(5).tolist()), y=tuple(y[kept].round(5).tolist()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TopFigures:
    """Of pictures that have one label each: how often the most probable one is it. confusion: counts, truth by answer.

    balanced_accuracy: the mean over labels of the share of a label's pictures that are answered rightly.
    """

    accuracy: float
    balanced_accuracy: float
    confusion: tuple[tuple[int, ...], ...]


def top_figures(scores: Floats, truth: Truth) -> TopFigures:
    """Both [n, k], one true label in each row."""
    from sklearn.metrics import confusion_matrix

    said, right = scores.argmax(axis=1), truth.argmax(axis=1)
    matrix = confusion_matrix(right, said, labels=np.arange(truth.shape[1]))
    shares = [row[j] / row.sum() for j, row in enumerate(matrix) if row.sum()]
    return TopFigures(
        accuracy=float((said == right).mean()),
        balanced_accuracy=float(np.mean(shares)),
        confusion=tuple(tuple(map(int, row)) for row in matrix),
    )
