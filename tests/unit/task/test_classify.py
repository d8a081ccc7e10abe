"""Vectors of a picture and of labels → labels by falling probability, by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from dualsight.image.frame import FrameMeta
from dualsight.task.classify import classify, label_embeddings, probabilities, ranked
from dualsight.task.embed import Embedded

AXES = np.eye(3, dtype=np.float32)
SCALE = float(np.log(2))  # as a checkpoint stores it


def spelled(texts: Sequence[str]) -> NDArray[np.float32]:
    """How often a, b and c are in each text."""
    return np.array([[text.count(letter) for letter in "abc"] for text in texts], np.float32)


def test_a_label_is_the_normalised_mean_of_its_prompts() -> None:
    vectors = label_embeddings(["a", "b"], ["{label}", "c{label}c", "{label}c"], spelled)
    np.testing.assert_allclose(vectors, np.array([[1, 0, 1], [0, 1, 1]]) / np.sqrt(2), rtol=1e-6)
    assert vectors.dtype == np.float32


def test_with_one_template_a_label_is_its_prompt() -> None:
    np.testing.assert_array_equal(label_embeddings(["a", "b"], ["{label}c"], spelled), [[1, 0, 1], [0, 1, 1]])


def test_softmax_and_sigmoid_of_the_scaled_cosines() -> None:
    softmax = probabilities(AXES[0], AXES, SCALE, multilabel=False)
    np.testing.assert_allclose(softmax, np.array([np.e**2, 1, 1]) / (np.e**2 + 2), rtol=1e-12)
    sigmoid = probabilities(AXES[0], AXES, SCALE, multilabel=True)
    np.testing.assert_allclose(sigmoid, [1 / (1 + np.e**-2), 0.5, 0.5], rtol=1e-12)
    assert softmax.dtype == sigmoid.dtype == np.float64


def test_probabilities_are_computed_in_float64() -> None:
    rng = np.random.default_rng(0)
    image, labels = rng.standard_normal(64, np.float32), rng.standard_normal((5, 64), np.float32)
    logits = np.array([sum(float(a) * float(b) for a, b in zip(image, label, strict=True)) for label in labels])
    np.testing.assert_allclose(probabilities(image, labels, 0, multilabel=True), 1 / (1 + np.exp(-logits)), rtol=1e-12)


def test_large_logits_do_not_overflow() -> None:
    np.testing.assert_array_equal(probabilities(AXES[0], AXES, 10, multilabel=False), [1, 0, 0])


@pytest.mark.parametrize("multilabel", [False, True])
def test_a_classification_says_of_which_picture_it_is(multilabel: bool) -> None:
    meta = FrameMeta(modality="CT")
    picture = Embedded(index=3, source="s.png", frame_index=2, n_frames=5, meta=meta, vector=AXES[1])
    found = classify(picture, ["x", "y", "z"], AXES, SCALE, multilabel=multilabel)
    assert (found.source, found.frame_index, found.n_frames, found.meta) == ("s.png", 2, 5, meta)
    assert found.multilabel is multilabel
    expected = probabilities(AXES[1], AXES, SCALE, multilabel=multilabel)
    assert found.labels == ("y", "x", "z") and found.top == "y"
    assert found.as_dict() == {"y": expected[1], "x": expected[0], "z": expected[2]}


def test_equal_probabilities_keep_the_order_of_the_labels() -> None:
    names, values = ranked([*"edcba"], np.array([0.1, 0.3, 0.1, 0.4, 0.1]))
    assert names == ("b", "d", "e", "c", "a")
    assert values == (0.4, 0.3, 0.1, 0.1, 0.1) and all(type(value) is float for value in values)
    many = [str(number) for number in range(100)]  # few are kept in order by any way of sorting
    assert ranked(many, np.full(100, 0.01))[0] == tuple(many)
    assert ranked(many, np.tile([0.015, 0.005], 50))[0] == tuple(many[::2] + many[1::2])
