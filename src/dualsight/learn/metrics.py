"""How well scores part positives from negatives: needs nothing but numpy. For all else see `learn.evaluate`.

n samples.
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
    above, below = scores[is_positive], scores[~is_positive]
    if len(above) == 0 or len(below) == 0 or np.isnan(above).any() or np.isnan(below).any():
        return float("nan")
    ordered = np.sort(below)
    beaten = np.searchsorted(ordered, above, side="left")  # negatives strictly below each positive
    reached = np.searchsorted(ordered, above, side="right")  # … and those it ties with
    return float((beaten + reached).mean() / (2 * len(below)))
