from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualsight.errors import ConfigError
from dualsight.learn.outlier import BLOCK, fit_outliers, study_features

RNG = np.random.default_rng(4)
REFERENCE = RNG.standard_normal((200, 5))


@given(st.integers(0, 1000), st.integers(5, 20), st.integers(1, 3))
def test_knn_is_the_mean_distance_to_the_nearest(seed: int, n: int, neighbours: int) -> None:
    rng = np.random.default_rng(seed)
    reference, tests = rng.standard_normal((n, 3)), rng.standard_normal((4, 3))
    detector = fit_outliers(reference, neighbours=neighbours, rate=0.2)
    for test, score in zip(tests, detector.score(tests), strict=True):
        assert score == pytest.approx(np.mean(sorted(np.linalg.norm(reference - test, axis=1))[:neighbours]))
    own = [  # each reference by the others
        np.mean(sorted(np.linalg.norm(np.delete(reference, i, axis=0) - one, axis=1))[:neighbours])
        for i, one in enumerate(reference)
    ]
    assert detector.false_positive_rate <= 0.2
    assert any(detector.threshold == pytest.approx(score) for score in own)
    assert np.mean([score > detector.threshold + 1e-9 for score in own]) == detector.false_positive_rate


@pytest.mark.parametrize("method", ["knn", "mahalanobis"])
def test_what_is_far_is_an_outlier_and_what_is_alike_is_not(method: str) -> None:
    detector = fit_outliers(REFERENCE, method=method, rate=0.05)  # type: ignore[arg-type]
    assert detector.n_reference == 200
    assert 0.03 <= detector.false_positive_rate <= 0.05
    new = np.random.default_rng(9).standard_normal((2000, 5))
    assert (detector.score(new) > detector.threshold).mean() == pytest.approx(0.05, abs=0.04)
    assert (detector.score(new + 10) > detector.threshold).all()


def test_the_threshold_holds_for_new_pictures_where_references_are_few() -> None:
    rng, spread = np.random.default_rng(1), np.geomspace(1, 100, 40)
    detector = fit_outliers(spread * rng.standard_normal((80, 40)), method="mahalanobis", rate=0.1)
    new = spread * rng.standard_normal((2000, 40))  # a reference scored by itself too would give 0.46 here
    assert (detector.score(new) > detector.threshold).mean() == pytest.approx(0.1, abs=0.05)


def test_mahalanobis_knows_directions_that_hardly_vary() -> None:
    reference = REFERENCE * [10, 1, 1, 1, 0.01]
    detector = fit_outliers(reference, method="mahalanobis")
    along, across = np.zeros(5), np.zeros(5)
    along[0] = across[1] = 15
    scores = detector.score(np.stack([along, across]))
    assert scores[0] < scores[1]


def test_blocks_join() -> None:
    reference = np.random.default_rng(2).standard_normal((BLOCK + 7, 2))
    detector = fit_outliers(reference, rate=0.5)
    assert detector.false_positive_rate == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(detector.score(reference)[-3:], detector.score(reference[-3:]))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"rate": 0.0}, "rate of 0"),
        ({"rate": 1.0}, "rate of 1"),
        ({"rate": float("nan")}, "rate of nan"),
        ({"method": "svm"}, "svm"),
        ({"neighbours": 0}, "0 neighbours"),
        ({"neighbours": 200}, "200 reference vectors"),
    ],
)
def test_what_cannot_be_meant(arguments: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        fit_outliers(REFERENCE, **arguments)  # type: ignore[arg-type]


def test_study_features_are_seven_figures_of_each_dimension() -> None:
    vectors = np.array([[1.0, 8.0], [2.0, 8.0], [4.0, 8.0], [5.0, 8.0]])
    features = study_features(vectors).reshape(7, 2)
    expected = [3.0, np.std([1, 2, 4, 5], ddof=1), 1.0, 1.75, 3.0, 4.25, 5.0]
    np.testing.assert_allclose(features[:, 0], expected)
    np.testing.assert_allclose(features[:, 1], [8, 0, 8, 8, 8, 8, 8])
    np.testing.assert_allclose(study_features(vectors[:1]).reshape(7, 2)[:, 0], [1, 0, 1, 1, 1, 1, 1])
