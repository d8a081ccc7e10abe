"""What the most similar known vectors are: a weighted vote of the nearest. Plain numpy, exact, in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TEMPERATURE = 0.07  # arXiv 1805.01978, section 3.4
BLOCK = 1024  # vectors compared at a time


def nearest_votes(
    vectors: NDArray[np.floating],
    references: NDArray[np.floating],
    indicator: NDArray[np.floating],
    *,
    neighbours: int,
    temperature: float = TEMPERATURE,
) -> Floats:
    """float64 [m, k]: the weighted share of the nearest `references` that have each of k labels.

    vectors: [m, D]; references: [n, D], both of unit length. indicator: [n, k], 1 where a reference has a label. A
    neighbour's weight is exp(cosine / temperature); with fewer than `neighbours` references all are asked.
    Raises ValueError for less than one neighbour, or a temperature that is not above 0.
    """
    if neighbours < 1 or not temperature > 0:
        raise ValueError(f"{neighbours} neighbours at a temperature of {temperature}")
    k = min(neighbours, len(references))
    votes = np.empty((len(vectors), indicator.shape[1]))
    for start in range(0, len(vectors), BLOCK):
        cosines = vectors[start : start + BLOCK] @ references.T  # [b, n]
        nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        similar = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
        weights = np.exp((similar - similar.max(axis=1, keepdims=True)) / temperature)
        weights /= weights.sum(axis=1, keepdims=True)
        votes[start : start + BLOCK] = np.einsum("bk,bkc->bc", weights, indicator[nearest])
    return votes
