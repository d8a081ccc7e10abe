"""The doubt that a finite number of patients leaves in an area under a ROC curve.

B resamples, n pictures, k labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.manifest import Example, patients_or_files

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

LEVEL = 0.95
RESAMPLES = 1000
BLOCK_NUMBERS = 4_000_000  # of weights in memory at a time


def patient_numbers(examples: Sequence[Example]) -> NDArray[np.int64]:
    """[n], from 0: pictures of one patient have the same. Without a patient a file is one by itself."""
    numbers: dict[str | Path, int] = {}
    keys = patients_or_files(examples)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def resampled_aucs(
    scores: Floats, truth: Truth, patients: NDArray[np.int64], rng: np.random.Generator, n: int = RESAMPLES
) -> Floats:
    """ROC AUCs [B, k] of n resamples, the same for all labels; NaN where a resample has one class only.

    Whole patients are drawn with replacement: pictures of one patient are no independent witnesses (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8). scores [n, k]; patients [n], numbers from 0.
    """
    n_patients = int(patients.max()) + 1
    block = max(1, BLOCK_NUMBERS // len(scores))
    orders = [np.argsort(column) for column in scores.T]
    areas = np.empty((n, scores.shape[1]))
    for start in range(0, n, block):
        size = min(block, n - start)
        counts = rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=size)  # [B, patients]
        weights = counts[:, patients].astype(np.float64)  # [B, n]
        for j, order in enumerate(orders):
            areas[start : start + size, j] = weighted_aucs(scores[order, j], truth[order, j], weights[:, order])
    return areas


def weighted_aucs(rising: Floats, positives: NDArray[np.bool_], weights: Floats) -> Floats:
    """[B]: the area under the ROC curve under each row of weights [B, n]; NaN where one class weighs nothing.

    The weighted share of pairs in which the positive scores above the negative, ties counting half.
    rising: scores [n], sorted; positives [n], in the same order.
    """
    starts = np.flatnonzero(np.r_[True, rising[1:] != rising[:-1]])  # of runs of equal scores
    above = np.add.reduceat(weights * positives, starts, axis=1)  # [B, runs]
    below = np.add.reduceat(weights * ~positives, starts, axis=1)
    beaten = np.cumsum(below, axis=1) - below / 2
    pairs = above.sum(axis=1) * below.sum(axis=1)
    won = (above * beaten).sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def interval(values: Floats) -> tuple[float, float] | None:
    """The percentile interval of the values [B] that are defined, at LEVEL; None where none is."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
