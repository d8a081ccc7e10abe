"""Every Pillow mode → RGB as it is shown: on black where the picture is transparent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualsight.errors import UnsupportedImage
from dualsight.image.scale import to_8_bit

BITS = {"1": 1, "I": 32, "F": 32, "I;16": 16, "I;16L": 16, "I;16B": 16, "I;16N": 16}  # others have 8

_TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


def rgb_of(image: Image.Image, *, source: str, frame: int | None) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of a decoded Pillow image.

    CMYK, YCbCr, LAB and HSV are converted, palettes looked up, alpha composited over black, one grey channel
    repeated. Modes deeper than 8 bits (I;16, I, F) are stretched over their own range.
    Raises UnreadableImage as `to_8_bit` does, and UnsupportedImage for a mode that Pillow cannot show.
    """
    if BITS.get(image.mode, 8) > 8:
        return _deep_grey(image, source=source, frame=frame)
    if image.mode in ("La", "RGBa"):  # already multiplied by alpha: on black these are the colours
        colours = [np.asarray(band) for band in image.split()[:-1]]
        return np.stack(colours * (3 // len(colours)), axis=-1)
    try:
        if image.has_transparency_data:
            rgba = image.convert("RGBA")
            shown = Image.new("RGB", image.size)
            shown.paste(rgba.convert("RGB"), mask=rgba.getchannel("A"))
            return np.asarray(shown)
        return np.asarray(image.convert("RGB"))
    except ValueError as error:
        raise UnsupportedImage(f"mode {image.mode} has no RGB", source=source, frame=frame) from error


def over_black(rgb: NDArray[np.uint8], alpha: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]: rgb shown on black through alpha [H, W] in 0…1."""
    return np.rint(rgb * alpha[..., None]).astype(np.uint8)


def _deep_grey(image: Image.Image, *, source: str, frame: int | None) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of one deep channel."""
    values: NDArray[Any] = np.asarray(image)  # [H, W]
    tags = getattr(image, "tag_v2", {})
    if image.mode == "I" and tags and tags.get(_TIFF_SAMPLE_FORMAT, (_UNSIGNED,)) in (_UNSIGNED, (_UNSIGNED,)):
        values = values.view(np.uint32)  # Pillow keeps the file's unsigned integers in signed ones
    inverted = tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO
    shown = to_8_bit(values, source=source, frame=frame, inverted=inverted)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        shown[values == transparent] = 0
    return np.repeat(shown[..., None], 3, axis=-1)
