"""Picture files, Pillow images and arrays → frames.

Read: PNG (APNG), JPEG (MPO), TIFF, BMP, WebP, GIF, PNM (PBM, PGM, PPM, PFM), JPEG 2000 and AVIF; no other format.
The decoder is chosen by the file's first bytes and called directly, so that Pillow guesses nothing.
Frames are decoded one at a time, when asked for.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Generator, Iterator
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
from dualsight.image.frame import Frame, FrameMeta
from dualsight.image.limits import Limits
from dualsight.image.quiet import quiet
from dualsight.image.raster import gif, png, tiff
from dualsight.image.raster.deep import samples_16
from dualsight.image.raster.modes import BITS, rgb_of, shown, turned
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
_MOST_RUN_LENGTH = 1 << 24  # pixels of a run-length encoded BMP, which Pillow decodes one by one in Python


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
    yield from (_tiff_frames if name == "TIFF" else _frames)(data, name, source, limits)


def _frames(data: bytes, name: str, source: str, limits: Limits) -> Iterator[Frame]:
    def opened() -> ImageFile.ImageFile:
        return _DECODERS[name](io.BytesIO(data), "")

    with _translated(source, None):
        image = opened()
        limits.check_size(image.height, image.width, source=source)
        n_frames = _count_frames(image, data, limits)
        limits.check_size(image.height, image.width, n_frames, source=source)
        if name == "PNG" and not png.is_whole(data):
            raise UnreadableImage("truncated", source=source)
        if image.tile and image.tile[0][0] == "bmp_rle" and image.height * image.width > _MOST_RUN_LENGTH:
            raise ImageTooLarge("too large for a run-length encoded BMP", source=source)
    for i in range(n_frames):
        frame = i if n_frames > 1 else None
        with _translated(source, frame):
            image.seek(i)
            limits.check_size(image.height, image.width, n_frames, source=source)
            limits.check_expansion(image.height, image.width, n_frames, len(data), source=source)
            rows, columns, bits = image.height, image.width, BITS.get(image.mode, 8)
            # the frames of an animated PNG are drawn over each other, which Pillow does in 8 bits
            samples = samples_16(image, opened, data) if n_frames == 1 else None
            if samples is None:
                pixels = rgb_of(image, source=source, frame=frame)
            else:
                alpha = samples[..., 3] if samples.shape[2] == 4 else None
                pixels, bits = shown(samples[..., :3], alpha, source=source, frame=frame), 16
            pixels, note = _upright(pixels, image)
        meta = FrameMeta(format=name, rows=rows, columns=columns, bits=bits, note=note)
        yield Frame(pixels=pixels, source=source, frame_index=i, n_frames=n_frames, meta=meta)


def _count_frames(image: ImageFile.ImageFile, data: bytes, limits: Limits) -> int:
    """How many frames there are; of a GIF one more than the limit at most, where Pillow would walk through all."""
    if image.format == "GIF":
        return max(1, gif.count_frames(data, limits.frames + 1))
    return int(getattr(image, "n_frames", 1))


def _tiff_frames(data: bytes, name: str, source: str, limits: Limits) -> Iterator[Frame]:
    image: ImageFile.ImageFile | None = None  # Pillow's view of the file, if a page needs it
    with _translated(source, None):
        pages = tiff.pages(data, source=source, limit=limits.frames)
        if not pages:
            raise UnreadableImage("truncated: no page is whole", source=source)
    for i, page in enumerate(pages):
        frame = i if len(pages) > 1 else None
        with _translated(source, frame):
            limits.check_size(page.height, page.width, len(pages), source=source)
            if not page.can_be_filled(len(data)):
                raise UnreadableImage("truncated", source=source, frame=frame)
            if page.is_deep:
                deep = tiff.read_deep(data, page, source=source, frame=frame, limits=limits)
                pixels = shown(deep.colour, deep.alpha, inverted=deep.white_is_zero, source=source, frame=frame)
                pixels = turned(pixels, page.orientation)
            else:
                image = image or _DECODERS[name](io.BytesIO(data), "")
                image.seek(i)
                pixels = rgb_of(image, source=source, frame=frame)  # Pillow has turned it already
        meta = FrameMeta(format=name, rows=page.height, columns=page.width, bits=max(page.bits))
        yield Frame(pixels=pixels, source=source, frame_index=i, n_frames=len(pages), meta=meta)


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
    floats too; their alpha is in 0…1 for floats, otherwise up to the type's greatest value.
    Raises UnsupportedImage for other shapes and types, UnreadableImage for no pixels, NaN, infinity, or a deep array
    of one value, ImageTooLarge over the limit.
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
    alpha = values[..., 3] if values.shape[2] == 4 else None
    pixels = shown(values[..., :3], alpha, source=source, frame=None)
    meta = FrameMeta(format="array", rows=height, columns=width, bits=array.dtype.itemsize * 8)
    return Frame(pixels=pixels, source=source, meta=meta)


def _upright(pixels: NDArray[np.uint8], image: Image.Image) -> tuple[NDArray[np.uint8], str | None]:
    """The pixels turned as EXIF says, and a note if EXIF cannot be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow's EXIF parser raises anything on damaged bytes; the pixels are sound
        return pixels, "EXIF is damaged: shown as stored, perhaps not upright"
    return turned(pixels, orientation), None


@contextmanager
def _translated(source: str, frame: int | None) -> Generator[None, None, None]:
    """No warnings inside, and whatever Pillow raises on hostile bytes, nearly any type, becomes an ImageError."""
    try:
        with quiet():
            yield
    except ImageError:
        raise
    except (MemoryError, Image.DecompressionBombError):
        raise ImageTooLarge("needs more memory than there is or Pillow allows", source=source, frame=frame) from None
    except Exception as error:
        # Pillow's own text is left out, here and in the traceback: it may quote the file
        said, kind = str(error), type(error).__name__
        if "truncat" in said.lower() or isinstance(error, EOFError):
            raise UnreadableImage("truncated", source=source, frame=frame) from None
        if isinstance(error, NotImplementedError) or re.search(r"unknown|unsupported|not supported", said, re.I):
            raise UnsupportedImage(f"a layout that is not read ({kind})", source=source, frame=frame) from None
        raise UnreadableImage(f"damaged, or not what its header says ({kind})", source=source, frame=frame) from None
