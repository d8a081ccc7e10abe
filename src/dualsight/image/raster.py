"""Picture files, Pillow images and arrays → frames.

Read: PNG (APNG), JPEG (MPO), TIFF, BMP, WebP, GIF, PNM (PBM, PGM, PPM, PFM), JPEG 2000 and AVIF; no other format.
The decoder is chosen by the file's first bytes and called directly, so that Pillow guesses nothing.
Frames are decoded one at a time, when asked for.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from dualsight.errors import ImageError, ImageTooLarge, UnreadableImage, UnsupportedImage
from dualsight.image import png
from dualsight.image.deep import samples_16
from dualsight.image.frame import Frame, FrameMeta
from dualsight.image.limits import Limits
from dualsight.image.modes import BITS, over_black, rgb_of
from dualsight.image.quiet import quiet
from dualsight.image.scale import to_8_bit
from dualsight.image.sniff import raster_format

_DECODERS: dict[str, Callable[..., ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.jpeg_factory,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "PNM": PpmImagePlugin.PpmImageFile,
    "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
FORMATS = tuple(_DECODERS)

# EXIF orientation → how to stand the picture upright (TIFF 6.0, tag 274)
_TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


def decode_raster(data: bytes, source: str, *, limits: Limits | None = None) -> Iterator[Frame]:
    """The frames of a picture file, upright and on black where transparent, one at a time.

    8-bit pictures keep their values; deeper ones are stretched over their own range (see `to_8_bit`), frame by
    frame. Raises UnsupportedImage for a format or pixel layout that is not read, ImageTooLarge before decoding
    what is over a limit, UnreadableImage for the truncated, damaged, or not finite.
    """
    limits = limits or Limits()
    name = raster_format(data)
    if name is None:
        raise UnsupportedImage(
            "not a picture in a format that is read", source=source, hint=f"read are {', '.join(FORMATS)}"
        )
    with _translated(source, None):
        image = _DECODERS[name](io.BytesIO(data), "")
        limits.check_size(image.height, image.width, source=source)
        n_frames = int(getattr(image, "n_frames", 1))
        if name == "PNG" and not png.is_whole(data):
            raise UnreadableImage("truncated", source=source)
    for i in range(n_frames):
        frame = i if n_frames > 1 else None
        with _translated(source, frame):
            image.seek(i)
            limits.check_size(image.height, image.width, n_frames, source=source)
            rows, columns, bits = image.height, image.width, BITS.get(image.mode, 8)
            samples = _samples_16(image, data, name, i, n_frames)
            if samples is None:
                pixels = rgb_of(image, source=source, frame=frame)
            else:
                pixels, bits = _shown(samples, source, frame), 16
            pixels, note = _upright(pixels, image)
        yield Frame(
            pixels=pixels,
            source=source,
            frame_index=i,
            n_frames=n_frames,
            meta=FrameMeta(format=name, rows=rows, columns=columns, bits=bits, note=note),
        )


def from_pil(image: Image.Image, source: str = "image", *, limits: Limits | None = None) -> Frame:
    """The frame of a Pillow image as it stands (of several, the current one); its EXIF orientation is applied.

    Raises as `decode_raster` does.
    """
    limits = limits or Limits()
    limits.check_size(image.height, image.width, source=source)
    if 0 in image.size:
        raise UnreadableImage("has no pixels", source=source)
    bits = BITS.get(image.mode, 8)
    with _translated(source, None):
        pixels, note = _upright(rgb_of(image, source=source, frame=None), image)
    meta = FrameMeta(format=image.format, rows=image.height, columns=image.width, bits=bits, note=note)
    return Frame(pixels=pixels, source=source, meta=meta)


def from_array(array: NDArray[Any], source: str = "image", *, limits: Limits | None = None) -> Frame:
    """The frame of an array [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] (RGBA, shown on black).

    uint8 is taken as it is and bool as 0 and 255. Every other integer or float is stretched over its own range, 0…1
    floats too; their alpha is in 0…1, or 0…65535 for uint16. Raises UnsupportedImage for other shapes and types,
    UnreadableImage for no pixels, NaN, infinity, or a deep array of one value, ImageTooLarge over the limit.
    """
    limits = limits or Limits()
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise UnsupportedImage(
            f"an array {list(array.shape)} is no picture", source=source, hint="pass [H, W] or [H, W, 1, 3 or 4]"
        )
    if array.dtype.kind not in "buif":
        raise UnsupportedImage(f"an array of {array.dtype} holds no grey levels", source=source)
    if array.size == 0:
        raise UnreadableImage("has no pixels", source=source)
    height, width = array.shape[:2]
    limits.check_size(height, width, source=source)
    values = array.reshape(height, width, -1)  # [H, W, 1 | 3 | 4]
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * np.uint8(255)
    pixels = np.array(np.broadcast_to(_shown(values, source, None), (height, width, 3)))
    meta = FrameMeta(format="array", rows=height, columns=width, bits=array.dtype.itemsize * 8)
    return Frame(pixels=pixels, source=source, meta=meta)


def _shown(values: NDArray[Any], source: str, frame: int | None) -> NDArray[np.uint8]:
    """uint8 [H, W, 1 or 3] of [H, W, 1, 3 or 4]: stretched unless uint8, on black where there is alpha."""
    colour = values[..., :3]
    shown = colour if values.dtype == np.uint8 else to_8_bit(colour, source=source, frame=frame)
    if values.shape[2] != 4:
        return shown
    opaque = {"uint8": 255, "uint16": 65535}.get(values.dtype.name, 1)
    alpha = values[..., 3].astype(np.float32) / np.float32(opaque)
    if not (alpha.min() >= 0 and alpha.max() <= 1):
        raise UnsupportedImage("alpha is outside 0…1", source=source, frame=frame)
    return over_black(shown, alpha)


def _samples_16(
    image: ImageFile.ImageFile, data: bytes, name: str, index: int, n_frames: int
) -> NDArray[np.uint16] | None:
    """The samples of a 16-bit colour frame, or None. Frames of an animated PNG build on each other: 8 bits there."""
    if name not in ("PNG", "PNM", "TIFF") or (name == "PNG" and n_frames > 1):
        return None

    def again() -> ImageFile.ImageFile:
        copy = _DECODERS[name](io.BytesIO(data), "")
        copy.seek(index)
        return copy

    return samples_16(image, again)


def _upright(pixels: NDArray[np.uint8], image: Image.Image) -> tuple[NDArray[np.uint8], str | None]:
    """The pixels turned as EXIF says, and a note if EXIF cannot be read. (Pillow turns TIFF pages by itself.)"""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow's EXIF parser raises anything on damaged bytes; the pixels are sound
        return pixels, "EXIF is damaged: shown as stored, perhaps not upright"
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return (pixels if turn is None else np.ascontiguousarray(turn(pixels))), None


@contextmanager
def _translated(source: str, frame: int | None) -> Iterator[None]:
    """No warnings inside, and whatever Pillow raises on hostile bytes, nearly any type, becomes an ImageError."""
    try:
        with quiet():
            yield
    except ImageError:
        raise
    except (MemoryError, Image.DecompressionBombError) as error:
        raise ImageTooLarge("needs more memory than there is or Pillow allows", source=source, frame=frame) from error
    except Exception as error:
        said = str(error)
        if "truncat" in said.lower() or isinstance(error, EOFError):
            raise UnreadableImage("truncated", source=source, frame=frame) from error
        # Pillow quotes the file's bytes in some messages; those stay out
        why = f" ({said})" if 0 < len(said) < 80 and "b'" not in said and "<" not in said else ""
        if isinstance(error, NotImplementedError) or re.search(r"unknown|unsupported|not supported", said, re.I):
            raise UnsupportedImage(f"a layout that is not read{why}", source=source, frame=frame) from error
        raise UnreadableImage(f"damaged, or not what its header says{why}", source=source, frame=frame) from error
