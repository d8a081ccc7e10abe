"""Samples of any depth → the 256 grey levels that are shown.

Picture files do not say which of their values mean black and white, so a picture deeper than 8 bits is stretched
over its own range: its least value is shown as 0, its greatest as 255. Nothing is clipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import UnreadableImage

_BLOCK = 1 << 22  # samples scaled at a time, so that float64 never holds a whole large picture


def to_8_bit(
    values: NDArray[Any], *, source: str = "image", frame: int | None = None, inverted: bool = False
) -> NDArray[np.uint8]:
    """uint8 of the same shape: round(255 × (value − min) / (max − min)), or 255 minus it if inverted.

    values: integers or floats, any shape. One range for all channels, so that colours keep their hue.
    Raises UnreadableImage for NaN or infinity, and where all values are equal (there is no range to show).
    """
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnreadableImage("holds NaN or infinite pixels", source=source, frame=frame)
    if low == high:
        raise UnreadableImage(
            f"all pixels are equal, and a {values.dtype.itemsize * 8}-bit picture is shown over its own range",
            source=source,
            frame=frame,
        )
    start, stop = (high, low) if inverted else (low, high)
    # halves, because max − min of extreme float64 values overflows
    span = float(stop) / 2 - float(start) / 2
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        levels = np.arange(int(low), int(high) + 1)
        table = np.zeros(1 << 16, np.uint8)
        table[levels] = _stretched(levels, float(start), span)  # negative levels count from the end, twice
        shown: NDArray[np.uint8] = table[values]
        return shown
    flat: NDArray[Any] = np.ascontiguousarray(values).reshape(-1)
    shown = np.empty(flat.shape, np.uint8)
    for i in range(0, flat.size, _BLOCK):
        shown[i : i + _BLOCK] = _stretched(flat[i : i + _BLOCK], float(start), span)
    return shown.reshape(values.shape)


def _stretched(values: NDArray[Any], start: float, half_span: float) -> NDArray[np.uint8]:
    halves = values.astype(np.float64) / 2 - start / 2
    return np.rint(halves / half_span * 255).astype(np.uint8)
