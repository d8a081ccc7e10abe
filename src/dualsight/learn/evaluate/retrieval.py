"""Whether a text finds its pictures among many, and a picture its text.

n pictures, t distinct texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KS = (1, 5, 10)
BLOCK = 1024  # queries at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Recall at each of `ks`: the share of queries with a right answer among their k most similar.

    text_to_image: each distinct text asks once, and any of its pictures is right. image_to_text: among distinct texts.
    """

    n_images: int
    n_texts: int
    ks: tuple[int, ...]
    text_to_image: tuple[float, ...]
    image_to_text: tuple[float, ...]


def retrieval(
    images: NDArray[np.float32], texts: NDArray[np.float32], own: Sequence[int] | NDArray[np.int64]
) -> Retrieval:
    """Of unit vectors of pictures [n, D] and distinct texts [t, D]; own [n]: the number of each picture's text."""
    own = np.asarray(own, np.int64)
    asked = np.unique(own)
    found = _ranks(texts[asked], images, lambda start, stop: own[None, :] == asked[start:stop, None])
    back = _ranks(images, texts, lambda start, stop: np.arange(len(texts))[None, :] == own[start:stop, None])
    return Retrieval(
        n_images=len(images),
        n_texts=len(texts),
        ks=KS,
        text_to_image=tuple(float((found < k).mean()) for k in KS),
        image_to_text=tuple(float((back < k).mean()) for k in KS),
    )


def _ranks(
    queries: NDArray[np.float32], answers: NDArray[np.float32], right: Callable[[int, int], NDArray[np.bool_]]
) -> NDArray[np.int64]:
    """[queries]: how many wrong answers are at least as similar as the most similar right one.

    right(start, stop): of these queries, which of all answers are right.
    """
    ranks = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), BLOCK):
        stop = min(start + BLOCK, len(queries))
        cosines = queries[start:stop] @ answers.T
        is_right = right(start, stop)
        best = np.where(is_right, cosines, -np.inf).max(axis=1, keepdims=True)
        ranks[start:stop] = ((cosines >= best) & ~is_right).sum(axis=1)
    return ranks
