"""Does a heat map point at the finding? Pointing game and overlap with its mask, and what no map at all would score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


def points_at(values: Map, mask: Mask, *, within: float = 0.0) -> bool:
    """Whether the hottest pixel lies in the mask, both [H, W]: one round of the pointing game (arXiv 1608.00507).

    within: pixels that it may lie beside it; the paper allows 15 in pictures of some 500.
    """
    row, column = divmod(int(values.argmax()), values.shape[1])
    rows, columns = np.nonzero(mask)
    return bool((np.hypot(rows - row, columns - column) <= within).any())


def overlap(values: Map, mask: Mask) -> float:
    """Intersection over union, 0…1, of the mask with as many of the hottest pixels as the mask has, both [H, W].

    The size is given away, so this measures the place alone. Raises ValueError for an empty mask.
    """
    n = int(mask.sum())
    if n == 0:
        raise ValueError("an empty mask overlaps with nothing")
    hottest = np.zeros(mask.size, bool)
    hottest[np.argsort(values, axis=None, kind="stable")[-n:]] = True
    both = int((hottest & mask.ravel()).sum())
    return both / (2 * n - both)


def centre_prior(height: int, width: int) -> Map:
    """float32 [height, width]: the map of who has not looked, hottest at the centre."""
    rows = (np.arange(height) + 0.5) / height - 0.5
    columns = (np.arange(width) + 0.5) / width - 0.5
    return np.exp(-8 * (rows[:, None] ** 2 + columns**2)).astype(np.float32)
