"""Square pixels out of oblong ones."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dualsight.errors import UnreadableImage
from dualsight.image.limits import Limits
from dualsight.image.voi import Grey

_MOST_OBLONG = 100.0  # thick slices of fine pixels reach a third of it; beyond are damaged headers


def squared(pixels: Grey, height_mm: float, width_mm: float, limits: Limits, source: str) -> Grey:
    """`pixels` [H, W] or [H, W, 3] with the more coarsely sampled axis enlarged, bilinearly, to make pixels square.

    height_mm, width_mm: of one pixel; only their ratio counts.
    Raises UnreadableImage for a ratio that no scanner has, ImageTooLarge.
    """
    if not (height_mm > 0 and width_mm > 0 and 1 / _MOST_OBLONG <= height_mm / width_mm <= _MOST_OBLONG):
        raise UnreadableImage(f"a pixel of {height_mm:g} by {width_mm:g} is damage", source=source)
    ratio = height_mm / width_mm
    height, width = pixels.shape[:2]
    size = (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)
    if size == (width, height):
        return pixels
    limits.check_size(size[1], size[0], source=source)
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BILINEAR))
