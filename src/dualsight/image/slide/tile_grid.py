"""Where the tiles of a slide lie: on the slide, in the level they are read from, and on the mask of its tissue."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Box(NamedTuple):
    """A rectangle of pixels."""

    x: int
    y: int
    width: int
    height: int

    def scaled(self, ratio: float) -> Box:
        """In pixels `ratio` times as fine, rounded; never empty."""
        width, height = max(1, round(self.width * ratio)), max(1, round(self.height * ratio))
        return Box(round(self.x * ratio), round(self.y * ratio), width, height)

    def within(self, width: int, height: int) -> Box:
        """Moved back, or cut, where rounding has put it over the edge of a picture."""
        across, down = min(self.width, width), min(self.height, height)
        return Box(min(self.x, width - across), min(self.y, height - down), across, down)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """Squares of `size` pixels, one every `step`, over a slide of width × height pixels, all at the tiles' scale.

    scale: pixels of level 0 to one of a tile.
    """

    width: int
    height: int
    size: int
    step: int
    scale: float

    @property
    def n(self) -> int:
        """How many there are."""
        across, down = (1 + max(0, -(-(side - self.size) // self.step)) for side in (self.width, self.height))
        return across * down

    def boxes(self) -> Iterator[Box]:
        """Row by row; the last of each row and column ends at the edge."""
        last_x, last_y = max(self.width - self.size, 0), max(self.height - self.size, 0)
        for y in (*range(0, last_y, self.step), last_y):
            for x in (*range(0, last_x, self.step), last_x):
                yield Box(x, y, min(self.size, self.width), min(self.size, self.height))

    def with_tissue(self, mask: NDArray[np.bool_], min_tissue: float) -> Iterator[Box]:
        """Those of which at least the part `min_tissue`, over 0, is tissue by a mask [h, w] of the whole slide."""
        height, width = mask.shape
        sums = np.zeros((height + 1, width + 1), np.int32)  # of all that is above and left
        sums[1:, 1:] = mask.cumsum(0, np.int32).cumsum(1, np.int32)
        for box in self.boxes():
            left, right = _touched(box.x, box.width, width / self.width, width)
            top, bottom = _touched(box.y, box.height, height / self.height, height)
            tissue = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
            if tissue >= min_tissue * (bottom - top) * (right - left):
                yield box


def _touched(start: int, length: int, ratio: float, end: int) -> tuple[int, int]:
    """From which to which pixel of the mask a stretch reaches, those it only touches included."""
    first = min(int(start * ratio), end - 1)
    return first, min(end, max(first + 1, math.ceil((start + length) * ratio)))
