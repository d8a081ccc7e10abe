"""Whether a model does as well for some patients as for others: figures by a column of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import ManifestError
from dualsight.learn.evaluate.figures import Figure, mean_figure
from dualsight.learn.manifest import Manifest

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

MOST_GROUPS = 30
FEW_PATIENTS = 30  # below it a group's figures are marked as uncertain
BLANK = "(blank)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Pictures whose column has one value. is_small: fewer than FEW_PATIENTS patients. accuracy: of the top label."""

    column: str
    value: str
    n: int
    patients: int
    is_small: bool
    mean_auc: Figure
    accuracy: float | None


def check_subgroups(manifest: Manifest, columns: Sequence[str]) -> None:
    """Raises ManifestError for a column that is not there, or has too many values to be groups."""
    problems: list[str] = []
    present = manifest.examples[0].columns
    for column in columns:
        if column not in present:
            problems.append(f"no column `{column}`; there are {', '.join(present)}")
            continue
        n = len({example.columns[column] for example in manifest.examples})
        if n > MOST_GROUPS:
            problems.append(f"column `{column}` has {n:,} values: at most {MOST_GROUPS} are groups")
    if problems:
        raise ManifestError(
            f"{manifest.path}: no such subgroups", problems=tuple(problems), hint="put numbers into bands: 40-59"
        )


def groups(
    values: Sequence[str], column: str, scores: Floats, truth: Truth, patients: NDArray[np.int64], *, multilabel: bool
) -> tuple[Group, ...]:
    """One Group a value, sorted. values [n]; scores, truth [n, k]; patients [n]."""
    named = np.array([value or BLANK for value in values])
    return tuple(
        _group(column, str(value), scores[inside], truth[inside], patients[inside], multilabel)
        for value in np.unique(named)
        for inside in [named == value]
    )


def _group(
    column: str, value: str, scores: Floats, truth: Truth, patients: NDArray[np.int64], multilabel: bool
) -> Group:
    n_patients = len(np.unique(patients))
    right = scores.argmax(axis=1) == truth.argmax(axis=1)
    return Group(
        column=column,
        value=value,
        n=len(scores),
        patients=n_patients,
        is_small=n_patients < FEW_PATIENTS,
        mean_auc=mean_figure([_auc(s, t) for s, t in zip(scores.T, truth.T, strict=True)]),
        accuracy=None if multilabel else float(right.mean()),
    )


def _auc(scores: Floats, truth: NDArray[np.bool_]) -> Figure:
    from sklearn.metrics import roc_auc_score

    if truth.all() or not truth.any():
        return Figure(value=None, reason="one class only")
    return Figure(value=float(roc_auc_score(truth, scores)))
