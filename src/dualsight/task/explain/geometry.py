"""Maps of the encoder's picture, back on the frame that it was made from: resize and centre crop undone.

    frame [H, W] ──resize, crop──▶ encoder's picture ──encoder──▶ map [h, w] ──spread──▶ map [H, W]

A place is measured from the picture's corner, so that the centre of the first pixel lies at 0.5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dualsight.image.prepare import Preprocessing, crop_geometry

Map = NDArray[np.float32]


class Box(NamedTuple):
    """A rectangle in pixels of a frame; right and bottom are exclusive, and none need be whole."""

    left: float
    top: float
    right: float
    bottom: float


def seen_box(height: int, width: int, preprocessing: Preprocessing) -> Box:
    """What the encoder sees of a frame of that size: all of it, or what a centre crop keeps."""
    if not preprocessing.center_crop:
        return Box(0.0, 0.0, float(width), float(height))
    side = preprocessing.height
    enlarged_width, enlarged_height, left, top = crop_geometry(width, height, side)
    x, y = width / enlarged_width, height / enlarged_height
    return Box(left * x, top * y, (left + side) * x, (top + side) * y)


def to_frame(values: Map, height: int, width: int, preprocessing: Preprocessing) -> Map:
    """float32 [height, width] in the frame's pixels, of a map [h, w] that covers the encoder's picture evenly.

    Smooth between the map's cells (see `cubic_weights`); 0 where the encoder sees nothing.
    """
    box = seen_box(height, width, preprocessing)
    rows, inside_rows = _places(height, box.top, box.bottom, values.shape[0])
    columns, inside_columns = _places(width, box.left, box.right, values.shape[1])
    down, across = cubic_weights(rows, values.shape[0]), cubic_weights(columns, values.shape[1])
    spread: Map = np.asarray(down @ values @ across.T, np.float32)
    spread[~inside_rows, :] = 0
    spread[:, ~inside_columns] = 0
    return spread


def _places(n: int, start: float, end: float, cells: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Where n pixels' centres lie among cells spread from start to end, or next to; and which lie there at all."""
    centres = np.arange(n) + 0.5
    places = np.asarray(np.clip((centres - start) / (end - start), 0, 1) * cells, np.float64)
    return places, (centres >= start) & (centres <= end)


def cubic_weights(places: NDArray[np.float64], cells: int) -> Map:
    """float32 [n, cells]: how much each cell counts at each place, 0…cells, by cubic convolution (Keys 1981, a = -1/2).

    The kernel's slope is continuous, so cells leave no edges. Rows add up to 1, also beside the border.
    """
    t = np.abs(places[:, None] - (np.arange(cells) + 0.5))  # [n, cells]
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    weights = np.where(t <= 1, near, np.where(t < 2, far, 0.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
