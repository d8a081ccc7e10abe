"""16-bit colour, whole. Pillow holds colour at 8 bits and drops the low byte of deeper samples.

It lets the caller choose which byte of each sample an unpacker keeps, though: read in the file's byte order it is
the high one, in the other order the low one. So a picture is decoded twice, and the two halves are put together.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

OpenFrame = Callable[[], ImageFile.ImageFile]

_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
_COLOUR_16 = re.compile(r"(RGB|RGBA|RGBX|R|G|B|A|X);16([LBN])")
_BITS_TAG, _PLANAR_TAG = 258, 284


def samples_16(image: ImageFile.ImageFile, again: OpenFrame) -> NDArray[np.uint16] | None:
    """uint16 [H, W, 3], or [H, W, 4] with alpha, of a 16-bit colour frame; None where Pillow's own bytes are whole.

    image: the frame, not yet loaded. again: gives the same frame anew.
    """
    if _is_grey_alpha_png(image):
        return _grey_alpha(image)
    if not _unpack(image, low=False):
        return None
    low = again()
    _unpack(low, low=True)
    high = _bands(image).astype(np.uint16) << np.uint16(8)
    return high + _bands(low).astype(np.uint16)


def _unpack(image: ImageFile.ImageFile, *, low: bool) -> bool:
    """Sets the unpackers of an unloaded image to the high or low byte; False if it is no 16-bit colour."""
    tiles = [_whole_tile(tile, image) for tile in image.tile]
    if not tiles or not all(_COLOUR_16.fullmatch(_rawmode(tile)) for tile in tiles):
        return False
    image.tile = [_with_rawmode(tile, _low(_rawmode(tile))) for tile in tiles] if low else tiles
    return True


def _whole_tile(tile: Any, image: ImageFile.ImageFile) -> Any:
    """The tile with an unpacker that knows of 16 bits, where Pillow chose one that does not."""
    rawmode = _rawmode(tile)
    if tile.codec_name == "ppm" and image.mode == "RGB" and tile.args[1] > 255:
        return tile._replace(codec_name="raw", args=("RGB;16B", 0, 1))
    if rawmode.startswith("RGBa;16"):  # keeps associated alpha as stored: on black that is what is shown
        return _with_rawmode(tile, rawmode.replace("RGBa", "RGBX"))
    tags: Any = getattr(image, "tag_v2", {})
    if tile.codec_name == "raw" and tags.get(_PLANAR_TAG) == 2 and 16 in tags.get(_BITS_TAG, ()):
        return _with_rawmode(tile, f"{rawmode[0]};16{'L' if tags.prefix == b'II' else 'B'}")
    return tile


def _rawmode(tile: Any) -> str:
    rawmode = tile.args if isinstance(tile.args, str) else tile.args[0] if tile.args else ""
    return rawmode if isinstance(rawmode, str) else ""


def _with_rawmode(tile: Any, rawmode: str) -> Any:
    return tile._replace(args=rawmode if isinstance(tile.args, str) else (rawmode, *tile.args[1:]))


def _low(rawmode: str) -> str:
    return rawmode[:-1] + _OTHER_ORDER[rawmode[-1]]


def _bands(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 [H, W, 3 or 4]; RGBX loses its filler."""
    values = np.asarray(image)
    return values[..., :3] if image.mode == "RGBX" else values


def _is_grey_alpha_png(image: ImageFile.ImageFile) -> bool:
    return image.format == "PNG" and [_rawmode(tile) for tile in image.tile] == ["LA;16B"]


def _grey_alpha(image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    """uint16 [H, W, 4]: the four bytes of a grey and alpha pair fill exactly one 8-bit RGBA pixel."""
    image.tile = [_with_rawmode(image.tile[0], "RGBA")]
    grey, alpha = np.moveaxis(np.ascontiguousarray(np.asarray(image)).view(">u2"), -1, 0)  # [H, W] each
    return np.stack([grey, grey, grey, alpha], axis=-1).astype(np.uint16)
