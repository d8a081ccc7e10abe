"""What a method of explanation is: one picture and one direction among embeddings in, one heat map out.

The similarity of a picture's embedding e [D] with a direction t [D] is e · t. With the embedding of a label as t it
is their cosine; with the difference of two labels' embeddings it says by how much the one fits better than the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dualsight.task.model import Model

Vector = NDArray[np.float32]
Map = NDArray[np.float32]

BATCH = 32  # pictures that a method without gradients shows the engine at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heat:
    """A map over the encoder's picture, whose cells cover it evenly.

    values: float32 [h, w], positive where the place speaks for the direction, negative where it speaks against it.
    unit: what one unit of a value is. rest: what belongs to no place, in the same unit.
    """

    values: Map
    unit: str
    rest: float = 0.0


class Method(Protocol):
    """Explains one similarity. The same input gives the same map."""

    def __call__(self, model: Model, pixels: NDArray[np.float32], direction: Vector) -> Heat:
        """The heat of normalised pixels [3, H, W] towards `direction` [D]."""
        ...


def similarities(model: Model, pictures: Iterable[NDArray[np.float32]], direction: Vector) -> NDArray[np.float64]:
    """float64 [n]: the similarity with `direction` of normalised pictures [3, H, W], by the model's engine."""
    stream = iter(pictures)
    values: list[NDArray[np.float64]] = []
    while batch := list(islice(stream, BATCH)):
        vectors = model.engine.encode_images(np.stack(batch))
        values.append(vectors.astype(np.float64) @ direction.astype(np.float64))
    return np.concatenate(values)
