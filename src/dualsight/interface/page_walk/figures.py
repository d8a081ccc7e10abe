"""Arrays as pictures within a page: colour ramps, and PNG or JPEG as data URLs."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RGB = NDArray[np.uint8]  # [H, W, 3]

# Anchors of the ramps, evenly spaced from least to most. Lightness rises steadily in the first, so that it
# can be read without seeing hues; the second is darkest at both ends and pale at zero.
_RISING = np.array([[22, 20, 48], [48, 54, 112], [38, 110, 132], [76, 168, 126], [178, 212, 98], [252, 246, 190]])
_DIVERGING = np.array(
    [[20, 62, 130], [74, 138, 190], [170, 205, 222], [238, 236, 230], [240, 190, 140], [206, 108, 56], [128, 42, 20]]
)


def rising(values: NDArray[np.uint8]) -> RGB:
    """uint8 [H, W] in colours from dark blue (0) to pale yellow (255)."""
    return _coloured(values / 255.0, _RISING)


def signed(vector: NDArray[np.floating], columns: int) -> RGB:
    """A vector in rows of `columns`, blue below zero, pale at zero, brown above; the last row is filled with zeros.

    The deepest colour is the 99th percentile of the magnitudes.
    """
    rows = -(-len(vector) // columns)
    square = np.zeros(rows * columns)
    square[: len(vector)] = vector
    reach = float(np.percentile(np.abs(vector), 99)) or 1.0
    return _coloured(np.clip(square.reshape(rows, columns) / reach, -1, 1) / 2 + 0.5, _DIVERGING)


def _coloured(parts: NDArray[np.float64], anchors: NDArray[np.int_]) -> RGB:
    """0…1 [H, W] → uint8 [H, W, 3], linear between the anchors."""
    places = np.linspace(0, 1, len(anchors))
    channels = [np.interp(parts, places, anchors[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def picture(pixels: RGB, alt: str, *, kind: str = "", longest: int | None = None) -> str:
    """An `<img>` that carries its pixels. `kind` is its class in the style sheet.

    Lossless, but for a picture with a side above `longest`, which is made smaller and stored as JPEG.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    encoding = "PNG"
    if longest is not None and max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        encoding = "JPEG"
    file = io.BytesIO()
    image.save(file, encoding, optimize=True)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return (
        f'<img class="{kind}" alt="{escape(alt)}" width="{image.width}" height="{image.height}" '
        f'src="data:image/{encoding.lower()};base64,{data}">'
    )
