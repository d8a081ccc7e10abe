"""Pictures → what is sent of them, in batches: the bytes of files as they are, all else as PNG.

A file's name stays here: it may be a patient's.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from dualsight.errors import ImageError, UnreadableImage, UnsupportedImage
from dualsight.image.limits import Limits
from dualsight.image.open import Source, read
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.task.prepared import Failed, as_stream, source_name

Images: TypeAlias = Source | Item | Iterable[Source | Item]

REQUEST_BYTES = 32 << 20  # a batch ends before it is larger; one larger picture travels alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A picture to send. index: its position in the stream. source: the user's own name for it, which stays here."""

    index: int
    source: str
    content: bytes


Batch: TypeAlias = list[Upload | Failed]


def batches(images: Images, size: int) -> Iterator[Batch]:
    """The pictures in order, at most `size` and 32 MiB at a time; one that cannot be read is a Failed in its place."""
    batch: Batch = []
    n_bytes = 0
    for index, image in enumerate(as_stream(images)):
        upload = _upload(image, index)
        length = len(upload.content) if isinstance(upload, Upload) else 0
        if batch and (len(batch) >= size or n_bytes + length > REQUEST_BYTES):
            yield batch
            batch, n_bytes = [], 0
        batch.append(upload)
        n_bytes += length
    if batch:
        yield batch


def _upload(image: Any, index: int) -> Upload | Failed:
    source = source_name(image, index)
    try:
        return Upload(index=index, source=source, content=_content(image, source))
    except ImageError as error:
        return Failed(index=index, source=source, error=error)


def _content(image: Any, source: str) -> bytes:
    """Raises ImageError where there is none."""
    if isinstance(image, Item):
        image = image.load()
    if isinstance(image, str | os.PathLike):
        return _file(image, source)
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if callable(getattr(image, "read", None)):
        return _rest_of(image, source)
    (frame,) = read(image, Reading(), source=source)
    buffer = io.BytesIO()
    Image.fromarray(frame.pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _file(image: str | os.PathLike[str], source: str) -> bytes:
    if not os.path.isfile(image):  # noqa: PTH113 - False for a text that can be no path
        hint = "check the path; decode base64 to bytes first"
        raise UnreadableImage("no such file", source=source, hint=hint)
    try:
        with Path(image).open("rb") as file:
            Limits().check_bytes(os.fstat(file.fileno()).st_size, source=source)
            return file.read()
    except OSError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror})", source=source) from error


def _rest_of(file: Any, source: str) -> bytes:
    try:
        content = file.read()
    except (OSError, ValueError) as error:  # ValueError: closed
        raise UnreadableImage("the file object cannot be read", source=source) from error
    if not isinstance(content, bytes):
        raise UnsupportedImage("the file object gives no bytes", source=source, hint="open it in binary mode")
    return content
