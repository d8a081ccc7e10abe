"""AUC against scikit-learn, and its interval against what an interval must do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from dualsight.learn.metrics import auc_interval, mean_auc, roc_auc


def sample(n: int, k: int | None = None, *, shift: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores with ties, `shift` higher for positives, of whom a third are."""
    rng = np.random.default_rng(7)
    positives = rng.random((n, k) if k else n) < 1 / 3
    return np.round(rng.normal(size=positives.shape) + shift * positives, 1), positives


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


def test_mean_auc_is_scikit_learns_macro_average() -> None:
    scores, positives = sample(200, 5)
    assert mean_auc(scores, positives) == pytest.approx(roc_auc_score(positives, scores, average="macro"), abs=1e-12)


def test_mean_auc_is_undefined_with_one_of_its_parts() -> None:
    scores, positives = sample(50, 3)
    positives[:, 1] = False
    assert math.isnan(mean_auc(scores, positives))


def test_interval_holds_the_auc_and_narrows_with_more_samples() -> None:
    widths = []
    for n in (60, 960):
        scores, positives = sample(n)
        low, high = auc_interval(scores, positives, np.random.default_rng(1), n=300)
        assert 0 <= low < roc_auc(scores, positives) < high <= 1
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.35)  # 16 times the samples


def test_interval_is_as_wide_as_hanley_and_mcneil_say() -> None:
    scores, positives = sample(400)
    area, m, n = roc_auc(scores, positives), positives.sum(), (~positives).sum()
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (m - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)) / (m * n)
    low, high = auc_interval(scores, positives, np.random.default_rng(2))
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(variance), rel=0.15)


def test_interval_narrows_with_less_confidence() -> None:
    scores, positives = sample(100)
    wide, narrow = (auc_interval(scores, positives, np.random.default_rng(3), 200, level) for level in (0.95, 0.5))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_interval_comes_from_the_passed_generator_alone() -> None:
    scores, positives = sample(100)
    first, again, other = (auc_interval(scores, positives, np.random.default_rng(s), n=50) for s in (4, 4, 5))
    assert first == again != other


def test_interval_with_one_positive_has_both_kinds_in_every_resample() -> None:
    scores, positives = np.arange(20.0), np.arange(20) == 12
    low, high = auc_interval(scores, positives, np.random.default_rng(0), n=100)
    assert 0 < low < high < 1


def test_interval_of_an_undefined_auc() -> None:
    assert np.isnan(auc_interval(np.arange(4.0), np.zeros(4, dtype=bool), np.random.default_rng(0))).all()


def test_interval_is_undefined_with_a_nan_score_though_no_resample_draws_it() -> None:
    scores, positives = np.append(np.arange(5.0), np.nan), np.arange(6) % 2 == 0
    intervals = [auc_interval(scores, positives, np.random.default_rng(seed), n=1) for seed in range(10)]
    assert np.isnan(intervals).all()
