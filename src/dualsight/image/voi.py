"""From stored values to grey: modality LUT, VOI LUT, polarity (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2).

Plain functions on arrays. Stored values are what the file holds, modality values what they mean (HU in CT), display
values run from 0 (black) to 1 (white), grey is uint8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stored = NDArray[Any]  # any integer or float type
Values = NDArray[np.floating[Any]]
Grey = NDArray[np.uint8]

# (centre, width) in HU, as radiology's teaching files give them.
CT_WINDOWS: dict[str, tuple[float, float]] = {
    "abdomen": (50.0, 400.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
    "liver": (30.0, 150.0),
    "lung": (-600.0, 1500.0),
    "mediastinum": (50.0, 350.0),
    "soft tissue": (50.0, 400.0),
    "spine": (50.0, 250.0),
    "stroke": (40.0, 40.0),
    "subdural": (75.0, 215.0),
    "temporal bone": (600.0, 2800.0),
}

_BLOCK = 1 << 22  # elements computed at once: bounds what floating point adds to memory


@dataclass(frozen=True, slots=True, eq=False)
class Lut:
    """A look-up table: `entries[0]` belongs to the value `first` and all below it; entries have `bits` bits."""

    first: int
    entries: NDArray[np.uint16]
    bits: int


def rescale(stored: Stored, slope: float, intercept: float) -> Values:
    """Modality values, float64: stored × slope + intercept (PS3.3 C.11.1.1.2)."""
    return stored.astype(np.float64) * slope + intercept


def look_up(values: Stored, lut: Lut) -> NDArray[np.uint16]:
    """The table's entries; values outside it get its first or last entry (PS3.3 C.11.1.1.1 and C.11.2.1.1)."""
    index = np.floor(values.astype(np.float64) - lut.first)
    return lut.entries[np.clip(index, 0, len(lut.entries) - 1).astype(np.intp)]


def window_linear(values: Values, center: float, width: float) -> Values:
    """Display values of the default function LINEAR, with its half-pixel terms (PS3.3 C.11.2.1.2.1); width ≥ 1.

    A width of 1 is a threshold: 0 up to center − 0.5, then 1.
    """
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def window_linear_exact(values: Values, center: float, width: float) -> Values:
    """Display values of LINEAR_EXACT (PS3.3 C.11.2.1.3.2); width > 0."""
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def window_sigmoid(values: Values, center: float, width: float) -> Values:
    """Display values of SIGMOID (PS3.3 C.11.2.1.3.1); width > 0."""
    exponent = np.clip(-4.0 * (values - center) / width, -700.0, 700.0)  # the ends of exp in float64
    return 1.0 / (1.0 + np.exp(exponent))


def full_range(values: Values, low: float, high: float) -> Values:
    """Display values with `low` black and `high` white; all black if they are equal."""
    if high <= low:
        return np.zeros(values.shape)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def to_grey(display: Values, *, invert: bool = False) -> Grey:
    """uint8 of display values, rounded to the nearest; `invert` for MONOCHROME1, whose lowest value is white
    (PS3.3 C.7.6.3.1.2). What is not a number becomes black.
    """
    grey = np.floor(np.nan_to_num(display, nan=0.0) * 255.0 + 0.5).astype(np.uint8)
    if invert:
        grey = np.where(np.isnan(display), np.uint8(0), 255 - grey)
    return grey


def distinct(stored: Stored) -> Stored:
    """The values that occur, each once and in order if they have up to 16 bits; otherwise all of them, flat."""
    if not stored.size or stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:
        return stored.ravel()
    low = int(stored.min())
    seen = np.zeros(int(stored.max()) - low + 1, bool)
    seen[stored.astype(np.int32) - low] = True
    return np.flatnonzero(seen) + low


def value_range(function: Callable[[Stored], Values], levels: Stored) -> tuple[float, float]:
    """Least and greatest of `function` over `levels` [n], n ≥ 1."""
    lows: list[float] = []
    highs: list[float] = []
    for start in range(0, levels.size, _BLOCK):
        values = function(levels[start : start + _BLOCK])
        lows.append(float(values.min()))
        highs.append(float(values.max()))
    return min(lows), max(highs)


def per_value(function: Callable[[Stored], Grey], stored: Stored) -> Grey:
    """`function` of every element of `stored`, with as little work and memory as its type allows.

    Up to 16 bits a table over the occurring range is computed once and looked up; other types go block by block.
    """
    if stored.size and stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
        low, high = int(stored.min()), int(stored.max())
        if high - low < stored.size:
            table = function(np.arange(low, high + 1))
            return table[stored.astype(np.int32) - low]
    flat = np.ascontiguousarray(stored).ravel()
    grey = np.empty(flat.size, np.uint8)
    for start in range(0, flat.size, _BLOCK):
        grey[start : start + _BLOCK] = function(flat[start : start + _BLOCK])
    return grey.reshape(stored.shape)
