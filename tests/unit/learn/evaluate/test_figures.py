from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from dualsight.learn.evaluate.figures import (
    CURVE_POINTS,
    Figure,
    label_figures,
    mean_figure,
    operating_point,
    top_figures,
)
from dualsight.learn.evaluate.thresholds import LabelThresholds

RNG = np.random.default_rng(0)


def measure(scores: np.ndarray, truth: np.ndarray, chosen: LabelThresholds | None = None):
    labels = [f"label {j}" for j in range(truth.shape[1])]
    return label_figures(
        labels,
        scores,
        truth,
        np.arange(len(truth)),
        [chosen] * len(labels),
        specificity=0.9,
        rng=np.random.default_rng(0),
    )


def test_each_figure_is_scikit_learns_or_its_definition() -> None:
    truth = RNG.random((400, 3)) < 0.3
    scores = RNG.normal(size=truth.shape) + truth
    figures, mean = measure(scores, truth, LabelThresholds(youden=0.5, f1=0.6, specificity=1.2))
    for j, found in enumerate(figures):
        assert found.auc.value == pytest.approx(roc_auc_score(truth[:, j], scores[:, j]))
        assert found.auc.low < found.auc.value < found.auc.high
        assert found.average_precision.value == pytest.approx(average_precision_score(truth[:, j], scores[:, j]))
        negatives, positives = scores[~truth[:, j], j], scores[truth[:, j], j]
        kept = [(positives >= t).mean() for t in scores[:, j] if (negatives < t).mean() >= 0.9]
        assert found.sensitivity.value == pytest.approx(max(kept))
        assert [point.threshold for point in found.points] == [0.5, 0.6, 1.2]
        assert len(found.roc.x) <= CURVE_POINTS + 1
        assert (found.roc.x[0], found.roc.y[0], found.roc.x[-1], found.roc.y[-1]) == (0, 0, 1, 1)
        assert list(found.pr.x) == sorted(found.pr.x)
    assert mean.value == pytest.approx(np.mean([found.auc.value for found in figures]))
    assert mean.high - mean.low < min(found.auc.high - found.auc.low for found in figures)


@pytest.mark.parametrize(("column", "reason"), [(0, "no picture"), (1, "every picture")])
def test_an_undefined_figure_is_none_with_a_reason_and_stays_out_of_the_mean(column: int, reason: str) -> None:
    truth = np.zeros((40, 3), bool)
    truth[:, 1] = True
    truth[::2, 2] = True
    figures, mean = measure(RNG.random(truth.shape), truth)
    none = figures[column]
    for figure in (none.auc, none.average_precision, none.sensitivity):
        assert figure.value is None
        assert reason in figure.reason
    assert (none.points, none.roc, none.pr) == ((), None, None)
    assert mean.value == figures[2].auc.value
    assert "2 of 3 labels" in mean.reason


def test_a_mean_of_nothing_is_none_with_a_reason() -> None:
    found = mean_figure([Figure(value=None, reason="none")])
    assert found.value is None
    assert found.reason


def test_shuffled_truth_gives_half() -> None:
    """The check that this can fail: where there is nothing to find, nothing is found."""
    truth = RNG.random((4000, 4)) < 0.3
    scores = RNG.normal(size=truth.shape) + 3 * truth
    assert measure(scores, truth)[1].value > 0.95
    assert abs(measure(scores, RNG.permutation(truth))[1].value - 0.5) < 0.03


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-0.1, 1.1))
def test_an_operating_point_is_counted(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[True, False, rng.random(20) < 0.5]
    scores = rng.random(22)
    found = operating_point("youden", threshold, scores, truth)
    said = scores >= threshold
    hits, passed = (said & truth).sum(), (~said & ~truth).sum()
    assert found.sensitivity == pytest.approx(hits / truth.sum())
    assert found.specificity == pytest.approx(passed / (~truth).sum())
    assert found.accuracy == pytest.approx((hits + passed) / 22)
    assert found.balanced_accuracy == pytest.approx((found.sensitivity + found.specificity) / 2)
    assert found.f1 == pytest.approx(2 * hits / (said.sum() + truth.sum()))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 50))
def test_top_figures_are_scikit_learns(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    right = rng.integers(0, 3, n)
    scores = rng.random((n, 4))
    found = top_figures(scores, np.eye(4, dtype=bool)[right])
    said = scores.argmax(1)
    assert found.accuracy == pytest.approx((said == right).mean())
    seen = np.isin(said, right)
    if seen.all() and len(set(right)) > 1:  # scikit-learn warns of answers that are never true, and of one class
        assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(right, said))
    for i in range(4):
        for j in range(4):
            assert found.confusion[i][j] == ((right == i) & (said == j)).sum()
