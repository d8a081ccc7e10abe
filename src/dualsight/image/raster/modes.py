"""Every Pillow mode → RGB as it is shown: on black where the picture is transparent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.raster.scale import to_8_bit

BITS = {"1": 1, "I": 32, "F": 32, "I;16": 16, "I;16L": 16, "I;16B": 16, "I;16N": 16}  # others have 8
_STRIPE = 1 << 22  # pixels converted at once: Pillow copies a picture at every step

# orientation → how to stand the picture upright (TIFF 6.0, tag 274)
_TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


def rgb_of(image: Image.Image, *, source: str, frame: int | None) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of a decoded Pillow image.

    CMYK, YCbCr, LAB and HSV are converted, palettes looked up, alpha composited over black, one grey channel
    repeated. Modes deeper than 8 bits (I;16, I, F) are stretched over their own range.
    Raises UnreadableImage as `to_8_bit` does, and UnsupportedImage for a mode that Pillow cannot show.
    """
    image.load()  # here, so that what damage raises is not taken for what a mode does
    if BITS.get(image.mode, 8) > 8:
        return _deep_grey(image, source=source, frame=frame)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _STRIPE // max(image.width, 1))
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        whole = rows >= image.height
        try:
            rgb[top:bottom] = _stripe(image if whole else image.crop((0, top, image.width, bottom)))
        except ValueError:
            raise UnsupportedImage(f"mode {image.mode} has no RGB", source=source, frame=frame) from None
    return rgb


def _stripe(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of some rows."""
    if image.mode in ("La", "RGBa"):  # already multiplied by alpha: on black these are the colours
        colours = [np.asarray(band) for band in image.split()[:-1]]
        return np.stack(colours * (3 // len(colours)), axis=-1)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        shown = Image.new("RGB", image.size)
        shown.paste(rgba.convert("RGB"), mask=rgba.getchannel("A"))
        return np.asarray(shown)
    return np.asarray(image.convert("RGB"))


def shown(
    colour: NDArray[Any],
    alpha: NDArray[Any] | None,
    *,
    inverted: bool = False,
    source: str,
    frame: int | None,
) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of samples [H, W, 1 or 3]: as they are if uint8, stretched if deeper; alpha [H, W] over black.

    Alpha runs to its type's greatest value, or to 1 for floats. Raises UnreadableImage as `to_8_bit` does.
    """
    grey = colour if colour.dtype == np.uint8 else to_8_bit(colour, source=source, frame=frame, inverted=inverted)
    rgb: NDArray[np.uint8] = np.repeat(grey, 3 // grey.shape[2], axis=2)
    if alpha is None:
        return rgb
    opaque = 1 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype).max
    visible = alpha.astype(np.float32) / np.float32(opaque)
    if not (visible.min() >= 0 and visible.max() <= 1):
        raise UnreadableImage("alpha is outside 0…1", source=source, frame=frame)
    return np.rint(rgb * visible[..., None]).astype(np.uint8)


def turned(pixels: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    """The pixels stood upright by an EXIF or TIFF orientation; unchanged for 1 and for what is no orientation."""
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _deep_grey(image: Image.Image, *, source: str, frame: int | None) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of one deep channel."""
    values: NDArray[Any] = np.asarray(image)  # [H, W]
    rgb = shown(values[..., None], None, source=source, frame=frame)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        rgb[values == transparent] = 0
    return rgb
