"""One door: whatever holds pictures → frames. The format is told by content, not by name."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias, Union

from dualsight.errors import ImageError, UnreadableImage, UnsupportedImage
from dualsight.image.frame import Frame
from dualsight.image.limits import Limits
from dualsight.image.quiet import quietly
from dualsight.image.reading import TILE_PX, Plane, Reading, Window
from dualsight.image.sniff import HEAD_BYTES, Kind, kind_of, other_format, raster_format, read_head
from dualsight.image.unpack import unpack_base64, unzipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from dualsight.image.slide.pyramid import Directory


class BinaryFile(Protocol):
    """A file object open for reading bytes."""

    def read(self, size: int = ..., /) -> bytes:
        """At most `size` bytes."""
        ...


# a string, because PIL and numpy are not imported for a type's sake
Source: TypeAlias = Union[
    str, Path, bytes, bytearray, memoryview, BinaryFile, Frame, "Image.Image", "NDArray[np.generic]"
]

# one way only to match each letter: a long text that is no data URL costs no more than its length
_DATA_URL = re.compile(r"\s*data:[^,]*?(?P<base64>;\s*base64\s*)?,", re.IGNORECASE)
_SHOWN = 255  # a longer text that is no path is not repeated in an error: it may be somebody's picture


def open(
    image: Source,
    *,
    source: str | None = None,
    window: Window = "auto",
    square_pixels: bool = False,
    plane: Plane | None = None,
    step_mm: float | None = None,
    tile_px: int = TILE_PX,
    mpp: float | None = None,
    limits: Limits | None = None,
) -> Iterator[Frame]:
    """The frames of a picture, one at a time, as they are shown.

    image: a path; bytes or a binary file object holding a file; the same as base64 or a data URL; a Pillow image;
        an array (see `raster.from_array`); or a Frame, which comes back as it is. A str is taken for a path where
        a file of that name exists.
    source: what to call it in results and errors; by default the path as given.
    window: for DICOM and volumes, see `dicom.decode_dicom`; pictures of other formats have none.
    square_pixels: resample DICOM frames whose pixels are not square.
    plane, step_mm: which slices of a volume, see `Volume.slices`; axial ones where no plane is named.
    tile_px, mpp: which tiles of a slide, see `Slide.tiles`. A slide is opened from a path only.

    Nothing is opened before the first frame is asked for. Raises UnsupportedImage for what is not read,
    UnreadableImage for what is broken or not there, ImageTooLarge before decoding what is over a limit.
    """
    reading = Reading(
        window=window,
        square_pixels=square_pixels,
        plane=plane,
        step_mm=step_mm,
        tile_px=tile_px,
        mpp=mpp,
        limits=limits or Limits(),
    )
    yield from read(image, reading, source=source)


def read(image: Source, reading: Reading, *, source: str | None = None) -> Iterator[Frame]:
    """`open` with its choices in one piece."""
    yield from quietly(_frames(image, reading, source))


def _frames(image: Source, reading: Reading, source: str | None) -> Iterator[Frame]:
    if isinstance(image, Frame):
        yield image
    elif isinstance(image, str | Path):
        yield from _open_text(image, source or _name(image), reading)
    elif isinstance(image, bytes | bytearray | memoryview):
        yield from _decode(bytes(image), source or "image", reading)
    elif callable(getattr(image, "read", None)):
        yield from _decode(_read(image, source or "image", reading.limits), source or "image", reading)
    else:
        yield from _open_object(image, source or "image", reading.limits)


def _name(image: str | Path) -> str:
    text = str(image)
    return text if len(text) <= _SHOWN and not _DATA_URL.match(text) else "image"


def _open_text(image: str | Path, source: str, reading: Reading) -> Iterator[Frame]:
    path = Path(image)
    if os.path.exists(path):  # noqa: PTH110 - False for a text that can be no path: too long, or with a null byte
        yield from _open_path(path, source, reading)
        return
    if isinstance(image, Path):
        raise UnreadableImage("no such file", source=source)
    reading.limits.check_bytes(len(image) // 4 * 3, source=source)
    data = _from_base64(image)
    if data is None or kind_of(data[:HEAD_BYTES]) is None:
        said = "" if source != "image" else f" ({len(image):,} characters)"
        raise UnreadableImage(
            f"neither an existing file, nor a data URL, nor the base64 of a picture{said}",
            source=source,
            hint="check the path; a relative one starts from the working directory",
        )
    yield from _decode(data, "image" if source == image else source, reading)


def _open_path(path: Path, source: str, reading: Reading) -> Iterator[Frame]:
    if not path.is_file():  # a folder, or a device or pipe that may never end
        hint = "`scan` walks folders" if path.is_dir() else ""
        raise UnreadableImage("is no regular file", source=source, hint=hint)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            kind = kind_of(head)
            levels = _slide_levels(file, head, source, reading.limits)
            if not levels:  # of a slide only tiles are ever held: its own size has no limit
                reading.limits.check_bytes(path.stat().st_size, source=source)
            # these decoders read from the file what they need of it
            in_place = levels or kind in ("dicom", "volume")
            file.seek(0)
            content = path if in_place else file.read(reading.limits.file_bytes + 1)
    except OSError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror})", source=source) from error
    if levels:
        from dualsight.image.slide.decode import decode_slide

        yield from decode_slide(path, source, levels, reading)
    else:
        yield from _decode_kind(kind, content, source, reading)


def _slide_levels(file: BinaryIO, head: bytes, source: str, limits: Limits) -> tuple[Directory, ...]:
    """The levels of a slide; nothing for any other file."""
    if kind_of(head) != "raster" or raster_format(head) != "TIFF":
        return ()
    from dualsight.image.slide.pyramid import find_levels

    return find_levels(file, limits=limits, source=source)


def _read(file: Any, source: str, limits: Limits) -> bytes:
    """All that a file object gives; a socket or pipe may give it in parts."""
    parts: list[bytes] = []
    size = 0
    while size <= limits.file_bytes:
        try:
            part = file.read(limits.file_bytes + 1 - size)
        except (OSError, ValueError) as error:  # ValueError: closed
            raise UnreadableImage("the file object cannot be read", source=source) from error
        if not isinstance(part, bytes):
            raise UnsupportedImage("the file object gives no bytes", source=source, hint="open it in binary mode")
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _open_object(image: Any, source: str, limits: Limits) -> Iterator[Frame]:
    import numpy as np
    from PIL import Image

    from dualsight.image.raster.decode import from_array, from_pil

    if isinstance(image, Image.Image):
        yield from_pil(image, source, limits=limits)
    elif isinstance(image, np.ndarray):
        yield from_array(image, source, limits=limits)
    else:
        raise UnsupportedImage(
            f"a {type(image).__name__} is no picture",
            source=source,
            hint="pass a path, bytes, a file object, base64, a Pillow image or a numpy array",
        )


def _decode(data: bytes, source: str, reading: Reading) -> Iterator[Frame]:
    """The frames of a file's bytes."""
    yield from _decode_kind(kind_of(data[:HEAD_BYTES]), data, source, reading)


def _decode_kind(kind: Kind | None, content: bytes | Path, source: str, reading: Reading) -> Iterator[Frame]:
    """The frames of a file of that kind; `content` is a Path for DICOM and volumes only."""
    if kind == "dicom":
        from dualsight.image.dicom.decode import decode_dicom

        yield from decode_dicom(
            content,
            source,
            window=reading.window,
            square_pixels=reading.square_pixels,
            limits=reading.limits,
        )
    elif kind == "volume":
        from dualsight.image.volume.decode import decode_volume

        yield from decode_volume(content, source, reading)
    elif isinstance(content, bytes):
        reading.limits.check_bytes(len(content), source=source)
        yield from _decode_bytes(kind, content, source, reading)


def _decode_bytes(kind: Kind | None, data: bytes, source: str, reading: Reading) -> Iterator[Frame]:
    if kind == "raster":
        from dualsight.image.raster.decode import decode_raster

        if _slide_levels(io.BytesIO(data), data[:HEAD_BYTES], source, reading.limits):
            hint = "save it as a file and open that: its tiles are read from the disk, one by one"
            raise UnsupportedImage("a slide, which is opened from a path only", source=source, hint=hint)
        yield from decode_raster(data, source, limits=reading.limits)
    elif kind == "gzip":
        inner = unzipped(data, source, reading.limits)
        yield from _decode_kind(kind_of(read_head(inner, source)), inner, source, reading)
    else:
        raise _refusal(data, source)


def _refusal(data: bytes, source: str) -> ImageError:
    if not data:
        return UnreadableImage("empty", source=source)
    if kind_of(data[:HEAD_BYTES]) == "zip":
        return UnsupportedImage("a zip archive, not one picture", source=source, hint="`scan` walks archives")
    other = other_format(data[:HEAD_BYTES]) or "no format that is known here"
    return UnsupportedImage(
        other,
        source=source,
        hint="read are DICOM, NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF, BMP, WebP, GIF, PNM, JPEG 2000 and AVIF",
    )


def _from_base64(text: str) -> bytes | None:
    """The bytes of base64 (line breaks allowed, padding may be missing) or of a data URL; None if it is neither."""
    url = _DATA_URL.match(text)
    if url:
        if not url["base64"]:
            return None
        text = text[url.end() :]
    return unpack_base64(text)
