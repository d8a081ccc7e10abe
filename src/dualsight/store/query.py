"""What is looked for, as one vector: a weighted sum of texts, pictures and what the hits should not be like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import StoreError
from dualsight.image.reading import Reading
from dualsight.task.model import Model
from dualsight.task.prepared import Images

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """What to look for. At least one of `texts`, `images`, `volumes` and `vector` is given.

    texts, images, volumes, unlike: each kind's vectors are averaged, made of unit length and weighted; the sum is made
    of unit length. `unlike` (texts) counts negative. images, volumes: whatever `Model.encode_image` takes; of a volume,
    the mean of its slices. A volume is compared with volumes only, unless a filter names `kind`.
    vector: float32 [D], used as it is, alone.
    """

    texts: tuple[str, ...] = ()
    images: tuple[Images, ...] = ()
    volumes: tuple[Images, ...] = ()
    unlike: tuple[str, ...] = ()
    vector: Vector | None = None
    text_weight: float = 1.0
    image_weight: float = 1.0
    unlike_weight: float = 0.5
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        """Raises StoreError for a query of nothing, and for weights that are none."""
        if not (self.texts or self.images or self.volumes or self.vector is not None):
            raise StoreError("nothing to look for", hint="give a text, an image or a volume")
        if not all(0 <= weight < float("inf") for weight in (self.text_weight, self.image_weight, self.unlike_weight)):
            raise StoreError("a weight is a number from 0 on", hint="what hits should be unlike has its own option")


def query_vector(query: Query, load_model: Callable[[], Model]) -> Vector:
    """float32 [D] of unit length. Raises ImageError, TextError, and StoreError where the parts cancel out."""
    if query.vector is not None:
        return _unit(np.asarray(query.vector, np.float32))
    model = load_model()
    parts: list[tuple[float, Vector]] = []
    if query.texts:
        parts.append((query.text_weight, model.encode_text(list(query.texts))))
    if query.images:
        vectors = [model.encode_image(image, reading=query.reading) for image in query.images]
        parts.append((query.image_weight, np.concatenate(vectors)))
    if query.volumes:
        vectors = [model.encode_image(volume, per="series", reading=query.reading) for volume in query.volumes]
        parts.append((query.image_weight, np.concatenate(vectors)))
    if query.unlike:
        parts.append((-query.unlike_weight, model.encode_text(list(query.unlike))))
    return weighted_sum(parts)


def weighted_sum(parts: Sequence[tuple[float, Vector]]) -> Vector:
    """float32 [D] of unit length: of weights and vectors [n, D], n ≥ 1, whose means of unit length are summed.

    Raises StoreError where they cancel out.
    """
    return _unit(np.asarray([weight * _mean(vectors) for weight, vectors in parts]).sum(axis=0, dtype=np.float32))


def _mean(vectors: Vector) -> Vector:
    return _unit(vectors.mean(axis=0, dtype=np.float32))


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    if not 0 < length < float("inf"):
        raise StoreError("what is looked for and what it should be unlike cancel out", hint="change a weight")
    return np.asarray(vector / length, np.float32)
