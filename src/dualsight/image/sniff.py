"""What a file is, by its bytes. Names and suffixes are not looked at."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from dualsight.errors import UnreadableImage
from dualsight.image.dicom.signature import is_dicom

Kind = Literal["dicom", "raster", "volume", "gzip", "zip"]

HEAD_BYTES = 512  # what `kind_of` needs of a file

_RASTER = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]"), "TIFF"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"P(?:[1-6f])\s"), "PNM"),
    (re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"....ftyp(?:avif|avis)", re.DOTALL), "AVIF"),
    # a two-letter signature proves little: the size of the header that follows does
    (re.compile(rb"BM.{12}[\x0c-\x7c]\x00\x00\x00", re.DOTALL), "BMP"),
)
_OTHERS = (
    (re.compile(rb"8BPS"), "a Photoshop file"),
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"), "a PostScript file"),
    (re.compile(rb"DDS "), "a DirectDraw surface"),
    (re.compile(rb"\x00\x00[\x01\x02]\x00[^\x00]\x00"), "a Windows icon"),
    (re.compile(rb"\x01\xda[\x00\x01][\x01\x02]"), "an SGI picture"),
    (re.compile(rb"\x0a[\x00-\x05]\x01[\x01\x02\x04\x08]"), "a PCX picture"),
    (re.compile(rb"....ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)", re.DOTALL), "a HEIF picture"),
    (re.compile(rb"\x89HDF\r\n\x1a\n"), "an HDF5 file"),
    (re.compile(rb"\s*(?:<\?xml|<svg|<!DOCTYPE|<html)", re.IGNORECASE), "a text in markup"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\xfd7zXZ|BZh|\x28\xb5\x2f\xfd"), "an archive other than zip"),
)
_VOLUME = re.compile(rb"NRRD000\d|ObjectType\s*=|NDims\s*=")


def raster_format(head: bytes) -> str | None:
    """The picture format whose signature opens the file ("PNG", "JPEG 2000", …), or None."""
    return next((name for signature, name in _RASTER if signature.match(head)), None)


def other_format(head: bytes) -> str | None:
    """What a file is that is not read ("a PDF document"), or None if its signature is unknown."""
    return next((name for signature, name in _OTHERS if signature.match(head)), None)


@contextmanager
def opened(content: bytes | Path, source: str) -> Generator[BinaryIO, None, None]:
    """The file at a path, or a file's bytes, open for reading.

    Raises UnreadableImage if it cannot be opened, and for what the system refuses while it is read.
    """
    try:
        file: BinaryIO = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
        with file:
            yield file
    except OSError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror or type(error).__name__})", source=source) from error


def read_head(content: bytes | Path, source: str, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of a file, `size` of them at most. Raises UnreadableImage if it cannot be read."""
    with opened(content, source) as file:
        return file.read(size)


def kind_of(head: bytes) -> Kind | None:
    """Which decoder a file is for, by its first `HEAD_BYTES` bytes; None where no signature is known.

    A DICOM file may carry a TIFF header in its preamble (PS3.10 section 7.1), so DICOM is asked first.
    """
    if head[128:132] == b"DICM":
        return "dicom"
    if raster_format(head):
        return "raster"
    if _is_nifti(head) or _VOLUME.match(head):
        return "volume"
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return "dicom" if is_dicom(head) else None


def _is_nifti(head: bytes) -> bool:
    """The header's own size in either byte order (NIfTI-1: 348, NIfTI-2: 540) and the magic where each puts it."""
    if len(head) < 348:
        return False
    sizes = (*struct.unpack_from("<i", head), *struct.unpack_from(">i", head))
    return (348 in sizes and head[344:348] in (b"n+1\0", b"ni1\0")) or (
        540 in sizes and head[4:8] in (b"n+2\0", b"ni2\0")
    )
