"""The estimators: scikit-learn's own checks, and each method against a plain statement of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from dualsight.learn.adapt import KNearest, LinearProbe, MlpAdapter, PromptEnsemble, TipAdapter
from dualsight.learn.adapt.head import Head
from dualsight.task.classify import probabilities

D = 8
CLASSES = np.array(["a", "b", "c"])


def unit(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clouds(n: int, seed: int = 0, spread: float = 0.3) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """n unit vectors around three directions, and which."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    return unit(np.eye(D)[codes] + spread * rng.standard_normal((n, D))), CLASSES[codes]


def several(n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """n vectors of which any of three numbers is high, and which."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, (n, 3))
    return np.pad(truth, ((0, 0), (0, D - 3))) + 0.2 * rng.standard_normal((n, D)), truth


def words() -> NDArray[np.float64]:
    return unit(np.eye(D)[:3] + 0.6 * np.random.default_rng(5).standard_normal((3, D)))


HEADS: dict[str, Callable[[], Head]] = {
    "linear": LinearProbe,
    "knn": lambda: KNearest(n_neighbors=5),
    "mlp": lambda: MlpAdapter(hidden=16, epochs=20, learning_rate=0.01),
    "prompts": lambda: PromptEnsemble(words(), CLASSES, logit_scale=3.0),
    "tip": lambda: TipAdapter(words(), logit_scale=3.0, shots=4),
}


@pytest.mark.filterwarnings("ignore")  # the checks themselves warn
@pytest.mark.parametrize(
    "head",
    [LinearProbe(), KNearest(), MlpAdapter(hidden=16, epochs=10, learning_rate=0.03)],
    ids=lambda h: type(h).__name__,
)
def test_scikit_learns_own_checks(head: Head) -> None:
    results = check_estimator(head, on_skip=None)
    assert sum(result["status"] == "passed" for result in results) > 50


@pytest.mark.parametrize("name", HEADS)
def test_it_works_in_a_pipeline_and_in_cross_validation(name: str) -> None:
    vectors, y = clouds(90)
    head = HEADS[name]()
    assert clone(head).get_params().keys() == head.get_params().keys()
    assert cross_val_score(make_pipeline("passthrough", head), vectors, y, cv=3).mean() > (
        0.7 if name == "prompts" else 0.9
    )


@pytest.mark.parametrize("name", HEADS)
def test_probabilities_sum_to_one_and_say_the_class(name: str) -> None:
    vectors, y = clouds(60)
    head = HEADS[name]().fit(vectors, y)
    found = head.predict_proba(vectors)
    assert found.shape == (60, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (head.predict(vectors) == CLASSES[found.argmax(axis=1)]).all()


@pytest.mark.parametrize("name", ["linear", "knn", "mlp"])
def test_several_labels_are_each_on_their_own(name: str) -> None:
    vectors, truth = several(120)
    head = HEADS[name]().fit(vectors, truth)
    found = head.predict_proba(vectors)
    assert found.shape == truth.shape
    assert not np.allclose(found.sum(axis=1), 1)
    assert ((found >= 0.5) == head.predict(vectors)).all()
    assert (head.predict(vectors) == truth).mean() > 0.9


def test_linear_probe_is_logistic_regression_on_scaled_vectors() -> None:
    vectors, y = clouds(60)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    np.testing.assert_allclose(
        LinearProbe().fit(vectors, y).predict_proba(vectors), plain.fit(vectors, y).predict_proba(vectors), atol=1e-6
    )
    two = y != "c"
    np.testing.assert_allclose(
        LinearProbe().fit(vectors[two], y[two]).predict_proba(vectors),
        plain.fit(vectors[two], y[two]).predict_proba(vectors),
        atol=1e-6,
    )


def test_linear_probe_of_several_labels_is_one_regression_each() -> None:
    vectors, truth = several(60)
    plain = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(C=0.1)))
    np.testing.assert_allclose(
        LinearProbe().fit(vectors, truth).predict_proba(vectors),
        plain.fit(vectors, truth).predict_proba(vectors),
        atol=1e-6,
    )


def test_linear_probe_gives_a_label_without_examples_a_low_probability() -> None:
    vectors, truth = several(60)
    truth[:, 1] = 0
    found = LinearProbe().fit(vectors, truth).predict_proba(vectors)
    np.testing.assert_allclose(found[:, 1], 0.5 / 61, rtol=1e-9)


def test_mlp_of_one_seed_is_the_same_and_of_another_is_not() -> None:
    vectors, y = clouds(50)
    first, again, other = (
        MlpAdapter(hidden=16, epochs=3, random_state=seed).fit(vectors, y).predict_proba(vectors) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_prompt_ensemble_is_zero_shot_classification() -> None:
    vectors, _ = clouds(10)
    for multilabel in (False, True):
        head = PromptEnsemble(words(), CLASSES, logit_scale=2.0, multilabel=multilabel).fit(vectors)
        expected = [probabilities(v, words(), 2.0, multilabel=multilabel) for v in vectors]  # type: ignore[arg-type]
        np.testing.assert_allclose(head.predict_proba(vectors), expected)


def test_tip_adapter_is_its_formula() -> None:
    vectors, y = clouds(60)
    head = TipAdapter(words(), logit_scale=2.0, shots=4, random_state=1).fit(vectors, y)
    assert head.keys_.shape == (12, D)
    assert (head.values_.sum(axis=0) == 4).all()
    logits = [
        [
            np.exp(2.0) * x @ word
            + head.alpha_
            * sum(np.exp(-head.beta_ * (1 - x @ f)) for f, own in zip(head.keys_, head.values_, strict=True) if own[c])
            for c, word in enumerate(words())
        ]
        for x in vectors
    ]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(head.predict_proba(vectors), expected)


def test_tip_adapter_beats_misleading_words() -> None:
    vectors, y = clouds(120)
    test, truth = clouds(60, seed=9)
    wrong = unit(np.roll(words(), 1, axis=0))
    prompts = PromptEnsemble(wrong, CLASSES, logit_scale=2.0).fit(vectors)
    tip = TipAdapter(wrong, logit_scale=2.0).fit(vectors, y)
    assert tip.score(test, truth) > 0.9 > 0.5 > prompts.score(test, truth)


def test_tip_adapter_with_one_example_a_class_takes_the_published_numbers() -> None:
    vectors, y = clouds(3)
    head = TipAdapter(words(), logit_scale=2.0).fit(vectors, y)
    assert (head.alpha_, head.beta_) == (1.0, 5.5)
    assert len(head.keys_) == 3


@pytest.mark.parametrize(
    ("label_vectors", "y", "problem"),
    [
        (np.ones((2, D)), CLASSES[np.arange(9) % 3], "2 label vectors for 3 classes"),
        (np.ones((3, D + 1)), CLASSES[np.arange(9) % 3], r"and \[k, 8\] is needed"),
        (np.ones((3, D)), np.eye(3, dtype=int)[np.arange(9) % 3] | [[1, 0, 0]], "several labels"),
    ],
)
def test_tip_adapter_refuses_what_does_not_fit(label_vectors: object, y: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        TipAdapter(label_vectors, logit_scale=2.0).fit(clouds(9)[0], y)  # type: ignore[arg-type]


def test_features_stand_before_the_logits() -> None:
    vectors, truth = clouds(60)
    head = MlpAdapter(hidden=16, epochs=20, learning_rate=0.01).fit(vectors, truth)
    made = head.features(vectors)
    logits = made @ head.out_weight_.T + head.out_bias_
    np.testing.assert_array_equal(head.classes_[logits.argmax(axis=1)], head.predict(vectors))
    assert made.shape == (60, 16)
