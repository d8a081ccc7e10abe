"""How well scores part positives from negatives, with the doubt that a finite sample leaves.

n samples, k findings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def roc_auc(scores: NDArray[np.floating], positives: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    scores: [n], higher for more likely; positives: [n]. NaN where it is undefined: all or none positive,
    or a score that is NaN. (Hanley and McNeil, 1982, doi:10.1148/radiology.143.1.7063747)
    """
    is_positive = positives.astype(bool)
    return _area(scores[is_positive], scores[~is_positive])


def mean_auc(scores: NDArray[np.floating], positives: NDArray[np.bool_]) -> float:
    """Unweighted mean over k findings of each one's ROC AUC. Both [n, k]; NaN if one of the k is undefined."""
    return float(np.mean([roc_auc(s, p) for s, p in zip(scores.T, positives.T, strict=True)]))


def auc_interval(
    scores: NDArray[np.floating],
    positives: NDArray[np.bool_],
    rng: np.random.Generator,
    n: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of `roc_auc` from `n` resamples, at confidence `level`.

    Positives and negatives are drawn each among themselves, so that every resample has both.
    (NaN, NaN) where the AUC is undefined. (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13)
    """
    is_positive = positives.astype(bool)
    above, below = scores[is_positive], scores[~is_positive]
    if np.isnan(_area(above, below)):
        return float("nan"), float("nan")
    areas = [_area(rng.choice(above, len(above)), rng.choice(below, len(below))) for _ in range(n)]
    low, high = np.quantile(areas, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _area(above: NDArray[np.floating], below: NDArray[np.floating]) -> float:
    """ROC AUC of the positives' scores `above` over the negatives' scores `below`."""
    if len(above) == 0 or len(below) == 0 or np.isnan(above).any() or np.isnan(below).any():
        return float("nan")
    ordered = np.sort(below)
    beaten = np.searchsorted(ordered, above, side="left")  # negatives strictly below each positive
    reached = np.searchsorted(ordered, above, side="right")  # … and those it ties with
    return float((beaten + reached).mean() / (2 * len(below)))
