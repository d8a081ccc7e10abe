"""AUC against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from dualsight.learn.metrics import roc_auc


@given(
    st.integers(2, 40).flatmap(
        lambda n: st.tuples(
            hnp.arrays(np.float64, n, elements=st.integers(-3, 3) | st.floats(-1e6, 1e6)), hnp.arrays(np.bool_, n)
        )
    )
)
@settings(max_examples=50, deadline=None)
def test_auc_is_scikit_learns(drawn: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> None:
    scores, positives = drawn
    if positives.all() or not positives.any():
        assert math.isnan(roc_auc(scores, positives))
    else:
        assert roc_auc(scores, positives) == pytest.approx(roc_auc_score(positives, scores), abs=1e-12)


def test_auc_of_known_cases() -> None:
    positives = np.array([False, False, True, True])
    assert roc_auc(np.array([0.1, 0.2, 0.3, 0.4]), positives) == 1.0
    assert roc_auc(np.array([0.4, 0.3, 0.2, 0.1]), positives) == 0.0
    assert roc_auc(np.zeros(4), positives) == 0.5
    assert roc_auc(np.array([-np.inf, 0.0, 0.0, np.inf], dtype=np.float32), positives.astype(int)) == 0.875
    assert math.isnan(roc_auc(np.array([0.1, np.nan, 0.3, 0.4]), positives))
