"""Operating points of a label: where to cut its probability, from examples that were not learnt from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

SENSITIVITY = 0.90


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Two cuts of one label's probability; what is at least a cut is above it.

    youden: where sensitivity + specificity is greatest (Youden 1950), to rule in. sens90: the highest under which at
    least 0.90 of the positives are above, to rule out.
    """

    youden: float
    sens90: float


def find_thresholds(scores: NDArray[np.floating], positives: NDArray[np.bool_]) -> Thresholds | None:
    """Both cuts for scores [n] and truth [n]; None where all or none are positive."""
    if positives.all() or not positives.any():
        return None
    false_rate, true_rate, cuts = roc_curve(positives, scores, drop_intermediate=False)
    best = int(np.argmax((true_rate - false_rate)[1:])) + 1  # the first cut is infinite: nothing is above it
    falling = np.sort(scores[positives])[::-1]
    needed = int(np.ceil(SENSITIVITY * len(falling)))
    return Thresholds(youden=float(cuts[best]), sens90=float(falling[needed - 1]))
