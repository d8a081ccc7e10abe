"""Pictures that are nearly the same: pairs of vectors whose cosine is high. All pairs are compared, none is guessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import ConfigError

BLOCK = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two rows, `first` < `second`, and the cosine of their vectors."""

    first: int
    second: int
    cosine: float


def near_duplicates(vectors: NDArray[np.floating], *, cosine: float = 0.99, block: int = BLOCK) -> Iterator[Pair]:
    """Every pair of rows of vectors [n, D], of unit length, whose cosine is at least `cosine`.

    Found block by block, so that memory is block² however large n is; in the order of blocks, not of cosines.
    Raises ConfigError for a cosine outside -1…1.
    """
    check_cosine(cosine)
    return _pairs(np.asarray(vectors, np.float32), cosine, block)


def check_cosine(cosine: float) -> None:
    """Raises ConfigError for what is no cosine."""
    if not -1 <= cosine <= 1:
        raise ConfigError(f"a cosine of {cosine:g}", hint="between -1 and 1, such as 0.99")


def _pairs(vectors: NDArray[np.float32], cosine: float, block: int) -> Iterator[Pair]:
    for top in range(0, len(vectors), block):
        for left in range(top, len(vectors), block):
            cosines = vectors[top : top + block] @ vectors[left : left + block].T
            if top == left:
                cosines[np.tril_indices(len(cosines))] = -np.inf  # each pair once, and none with itself
            for row, column in np.argwhere(cosines >= cosine):
                yield Pair(first=top + int(row), second=left + int(column), cosine=float(cosines[row, column]))
