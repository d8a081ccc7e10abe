from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dualsight.learn.evaluate.bootstrap import interval, patient_numbers, resampled_aucs, weighted_aucs
from dualsight.learn.manifest import Example


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 6))
def test_the_weighted_area_is_scikit_learns(seed: int, n: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.integers(0, levels, n) / 7)  # many ties
    truth = rng.random(n) < 0.5
    weights = rng.integers(0, 4, (5, n)).astype(float)
    for row, area in zip(weights, weighted_aucs(scores, truth, weights), strict=True):
        if not row[truth].sum() or not row[~truth].sum():
            assert np.isnan(area)
        else:
            assert area == pytest.approx(roc_auc_score(truth, scores, sample_weight=row), abs=1e-9)


def test_whole_patients_are_drawn() -> None:
    """Ten copies of each picture of a patient say no more than one: the interval must not shrink."""
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.5
    scores = rng.normal(size=60) + truth
    once = resampled_aucs(scores[:, None], truth[:, None], np.arange(60), np.random.default_rng(1))
    copies = [np.repeat(array, 10) for array in (scores, truth, np.arange(60))]
    ten = resampled_aucs(copies[0][:, None], copies[1][:, None], copies[2], np.random.default_rng(1))
    np.testing.assert_allclose(ten, once, atol=1e-9)
    careless = resampled_aucs(copies[0][:, None], copies[1][:, None], np.arange(600), np.random.default_rng(1))
    assert np.nanstd(careless) < 0.5 * np.nanstd(once)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        truth = np.arange(120) < 60
        scores = rng.normal(size=120) + truth  # AUC Φ(1/√2)
        found = interval(resampled_aucs(scores[:, None], truth[:, None], np.arange(120), rng, 200)[:, 0])
        assert found is not None
        hits += found[0] <= 0.7602 <= found[1]
    assert 86 <= hits <= 100


def test_no_interval_of_what_is_never_defined() -> None:
    scores, truth = np.zeros((4, 1)), np.ones((4, 1), bool)
    assert interval(resampled_aucs(scores, truth, np.arange(4), np.random.default_rng(0), 20)[:, 0]) is None


def test_a_file_without_a_patient_is_one_by_itself_however_often_it_is_listed() -> None:
    examples = [
        Example(row=row, path=Path(name), labels=(), patient=patient, split=None, columns={})
        for row, (name, patient) in enumerate(
            [("0", "a"), ("1", None), ("2", "a"), ("3", "b"), ("4", None), ("1", None)], start=2
        )
    ]
    assert patient_numbers(examples).tolist() == [0, 1, 0, 2, 3, 1]
