"""What is looked for, as one vector, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dualsight.errors import StoreError
from dualsight.image.reading import Reading
from dualsight.store.query import Query, query_vector, weighted_sum
from vectors import unit

X, Y, Z = np.eye(3, dtype=np.float32)


class Stub:
    """A model that knows where each word and picture is, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([{"x": X, "y": Y, "z": Z}[text] for text in texts])

    def encode_image(self, image: str, **how: Any) -> NDArray[np.float32]:
        self.asked.append(how)
        return self.encode_text([*image])


def found(**parts: Any) -> NDArray[np.float32]:
    return query_vector(Query(**parts), Stub)  # type: ignore[arg-type]  # as much of a model as is needed


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"texts": ("x",)}, (1, 0, 0)),
        ({"texts": ("x", "y")}, (1, 1, 0)),
        ({"images": ("x", "y")}, (1, 1, 0)),
        ({"images": ("xy",)}, (1, 1, 0)),  # two frames
        ({"volumes": ("z",)}, (0, 0, 1)),
        ({"volumes": ("z", "x")}, (1, 0, 1)),
        ({"texts": ("x",), "images": ("y",)}, (1, 1, 0)),
        ({"texts": ("x",), "images": ("y",), "text_weight": 3.0}, (3, 1, 0)),
        ({"texts": ("x",), "images": ("y",), "image_weight": 3.0}, (1, 3, 0)),
        ({"texts": ("x",), "volumes": ("y",), "image_weight": 3.0}, (1, 3, 0)),
        ({"texts": ("x",), "unlike": ("y",)}, (1, -0.5, 0)),
        ({"texts": ("x",), "unlike": ("y", "z"), "unlike_weight": 2.0}, (1, -(2**0.5), -(2**0.5))),
        ({"vector": 5 * Y, "texts": ("x",)}, (0, 1, 0)),  # alone
    ],
)
def test_a_query_by_hand(parts: dict[str, Any], expected: tuple[float, ...]) -> None:
    vector = found(**parts)
    np.testing.assert_allclose(vector, unit(*expected), atol=1e-6, rtol=0)
    assert vector.dtype == np.float32


def test_a_vector_needs_no_model() -> None:
    def load() -> Any:
        raise AssertionError

    np.testing.assert_array_equal(query_vector(Query(vector=X), load), X)


def test_pictures_are_shown_as_they_are_to_be_read() -> None:
    stub, reading = Stub(), Reading(window="lung")
    query_vector(Query(images=("x",), volumes=("y",), reading=reading), lambda: stub)  # type: ignore[arg-type,return-value]
    assert stub.asked == [{"reading": reading}, {"reading": reading, "per": "series"}]


def test_means_are_of_unit_length_before_they_are_weighted() -> None:
    got = weighted_sum([(1.0, np.stack([X, X, Y])), (2.0, Z[None])])
    mean = unit(2, 1, 0)
    np.testing.assert_allclose(got, unit(mean[0], mean[1], 2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("weight", [-0.1, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["text_weight", "image_weight", "unlike_weight"])
def test_weights_that_are_none(name: str, weight: float) -> None:
    with pytest.raises(StoreError, match="a weight is a number from 0 on") as caught:
        Query(texts=("x",), **{name: weight})  # type: ignore[arg-type]
    assert "its own option" in caught.value.hint


def test_nothing_to_look_for() -> None:
    with pytest.raises(StoreError, match=r"^nothing to look for$") as caught:
        Query(unlike=("x",))
    assert caught.value.hint == "give a text, an image or a volume"
    for parts in ({"texts": ("x",), "text_weight": 0.0}, {"vector": 0 * X}, {"vector": np.array([np.inf, 0, 0])}):
        with pytest.raises(StoreError, match="cancel out") as caught:
            found(**parts)
        assert caught.value.hint == "change a weight"
