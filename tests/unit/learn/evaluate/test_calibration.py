from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from dualsight.learn.evaluate.calibration import BINS, fit_platt, fit_temperature, reliability


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 5), st.booleans())
def test_the_error_is_its_definition(seed: int, n: int, k: int, multilabel: bool) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(k), n)
    truth = np.eye(k, dtype=bool)[rng.integers(0, k, n)]
    statements = []
    for row, right in zip(probabilities, truth, strict=True):
        chosen = range(k) if multilabel else [int(row.argmax())]
        statements += [(row[j], right[j]) for j in chosen]
    expected = 0.0
    for i in range(BINS):
        inside = [(p, t) for p, t in statements if i / BINS < p <= (i + 1) / BINS or (i == 0 and p == 0)]
        if inside:
            gap = abs(np.mean([p for p, _ in inside]) - np.mean([t for _, t in inside]))
            expected += gap * len(inside) / len(statements)
    found = reliability(probabilities, truth, multilabel=multilabel)
    assert found.error == pytest.approx(expected, abs=1e-12)
    assert sum(bin.n for bin in found.bins) == len(statements)


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_a_temperature_that_was_applied_is_found_again(multilabel: bool, temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3)) * 2
    if multilabel:
        truth = rng.random(logits.shape) < expit(logits)
        seen = expit(logits * temperature)
    else:
        chances = softmax(logits, axis=1)
        truth = np.eye(3, dtype=bool)[(chances.cumsum(1) < rng.random((len(logits), 1))).sum(1)]
        seen = softmax(logits * temperature, axis=1)
    found = fit_temperature(seen, truth, multilabel=multilabel)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    mended = reliability(found(seen), truth, multilabel=multilabel).error
    assert mended < 0.02 < reliability(seen, truth, multilabel=multilabel).error


@pytest.mark.parametrize("multilabel", [False, True])
def test_platt_finds_slope_and_offset_again(multilabel: bool) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 2))
    truth = rng.random(logits.shape) < expit(1.5 * logits - 0.7)
    found = fit_platt(expit(logits), truth, multilabel=multilabel)
    np.testing.assert_allclose(found.slope, 1.5, rtol=0.1)
    np.testing.assert_allclose(found.offset, -0.7, atol=0.1)
    sums = found(expit(logits)).sum(axis=1)
    assert np.allclose(sums, 1) is not multilabel


def test_platt_leaves_a_label_alone_that_is_never_true() -> None:
    probabilities = np.random.default_rng(0).random((50, 2))
    truth = np.zeros((50, 2), bool)
    truth[::2, 1] = True
    found = fit_platt(probabilities, truth, multilabel=True)
    assert (found.slope[0], found.offset[0]) == (1, 0)
    np.testing.assert_allclose(found(probabilities)[:, 0], probabilities[:, 0], atol=1e-6)


def test_certainties_stay_finite() -> None:
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    truth = np.array([[True, False], [False, True], [False, True]])
    for multilabel in (False, True):
        for scaled in (
            fit_temperature(probabilities, truth, multilabel=multilabel)(probabilities),
            fit_platt(probabilities, truth, multilabel=multilabel)(probabilities),
        ):
            assert np.isfinite(scaled).all()
