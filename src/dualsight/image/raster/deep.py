"""16-bit colour of PNG and PPM, whole. Pillow holds colour at 8 bits and drops the low byte of deeper samples.

It lets the caller choose which byte of each sample an unpacker keeps, though: a PNG read in its own byte order gives
the high one, in the other order the low one. So a picture is decoded twice, and the two halves are put together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

_LOW_BYTE = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}


def samples_16(
    image: ImageFile.ImageFile, again: Callable[[], ImageFile.ImageFile], data: bytes
) -> NDArray[np.uint16] | None:
    """uint16 [H, W, 3], or [H, W, 4] with alpha, of a 16-bit colour picture; None where Pillow's bytes are whole.

    image: not yet loaded. again: opens the same file anew. data: the file.
    """
    if len(image.tile) != 1:
        return None
    codec, _, offset, args = image.tile[0]
    match image.format, args:
        case "PNG", "RGB;16B" | "RGBA;16B":
            low = again()
            _unpack_as(low, _LOW_BYTE[args])
            high = np.asarray(image).astype(np.uint16) << np.uint16(8)
            return _keyed(high + np.asarray(low).astype(np.uint16), image.info.get("transparency"))
        case "PNG", "LA;16B":
            return _grey_alpha(image)
        case "PPM", ("RGB", int(maxval)) if codec == "ppm" and maxval > 255:
            values = np.frombuffer(data, ">u2", image.width * image.height * 3, offset)
            return values.reshape(image.height, image.width, 3).astype(np.uint16)
        case _:
            return None


def _keyed(samples: NDArray[np.uint16], transparent: object) -> NDArray[np.uint16]:
    """[H, W, 4], with alpha 0 where samples [H, W, 3] have the transparent colour of a tRNS chunk; else unchanged."""
    if not (isinstance(transparent, tuple) and len(transparent) == samples.shape[2] == 3):
        return samples
    alpha = np.where((samples == np.array(transparent)).all(axis=2), 0, 0xFFFF)
    return np.dstack([samples, alpha.astype(np.uint16)])


def _unpack_as(image: Any, rawmode: str) -> None:
    image.tile = [image.tile[0]._replace(args=rawmode)]


def _grey_alpha(image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    """uint16 [H, W, 4]: the four bytes of a grey and alpha pair fill exactly one 8-bit RGBA pixel."""
    _unpack_as(image, "RGBA")
    pairs = np.ascontiguousarray(np.asarray(image)).view(">u2").astype(np.uint16)  # [H, W, 2]
    return pairs[..., [0, 0, 0, 1]]
