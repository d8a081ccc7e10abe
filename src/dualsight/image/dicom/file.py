"""A DICOM file's header, and where its pixels lie: read without the pixels, mended where the damage is known."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import FileDataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.dicom.codestream import read_codestream
from dualsight.image.dicom.signature import SIGNATURE_BYTES, headerless_start
from dualsight.image.limits import Limits
from dualsight.image.quiet import damage

_PIXEL_KEYWORDS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}
_PIXEL_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"UN"})
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset({b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT"})
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_EXPLICIT = b"1.2.840.10008.1.2.1\0\0\0"  # as long as the deflated one's UID; readers strip the padding

# JPEG's start-of-frame marker → transfer syntax, for files that do not name theirs.
_JPEG_SYNTAX = {0xC0: JPEGBaseline8Bit, 0xC1: JPEGExtended12Bit, 0xC3: JPEGLossless, 0xF7: JPEGLSLossless}


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The element that holds the pixels. n_bytes: of its value, None if encapsulated (undefined length)."""

    keyword: str
    vr: str
    offset: int
    n_bytes: int | None


@dataclass(frozen=True, slots=True)
class DicomFile:
    """One opened file: its header, its transfer syntax, and its pixels' place in `stream` (None: it has none)."""

    header: FileDataset
    transfer_syntax: UID
    pixels: PixelElement | None
    stream: BinaryIO
    note: str | None = None


@contextmanager
def open_dicom(data: bytes | Path, source: str, limits: Limits) -> Generator[DicomFile, None, None]:
    """The header of a DICOM file; the file stays open for its pixels.

    Files without preamble or meta header are read, and those whose meta header names no transfer syntax.
    Raises UnsupportedImage if it is not DICOM, UnreadableImage if its header is damaged, ImageTooLarge.
    """
    n_bytes = len(data) if isinstance(data, bytes) else _file_size(data, source)
    limits.check_bytes(n_bytes, source=source)
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as stream:
        yield _read(stream, source, limits)


def _file_size(path: Path, source: str) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise UnreadableImage(error.strerror or "cannot be opened", source=source) from error


def _read(stream: BinaryIO, source: str, limits: Limits) -> DicomFile:
    head = stream.read(SIGNATURE_BYTES)
    note = None
    if head[128:132] != b"DICM":
        start = headerless_start(head)
        if start is None:
            raise UnsupportedImage("not a DICOM file", source=source)
        note = "no DICOM meta header"
        stream = io.BytesIO(head[start:] + stream.read()) if start else stream
    elif _is_deflated(stream):
        stream = _inflate(stream, source, limits)
    with damage(source, "the DICOM header is damaged"):
        stream.seek(0)
        header = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
        implicit, little_endian = header.original_encoding
        pixels = _find_pixels(stream, bool(little_endian))
        syntax = header.file_meta.get("TransferSyntaxUID") or _guess_syntax(
            stream, pixels, bool(implicit), bool(little_endian)
        )
        return DicomFile(header, UID(str(syntax)), pixels, stream, note)


def _meta_header(stream: BinaryIO) -> bytes:
    """Everything up to the end of group 0002, which is always explicit VR little endian (PS3.10 7.1)."""
    stream.seek(0)
    head = stream.read(1 << 16)
    position = 132
    while head[position : position + 2] == b"\x02\x00":
        long = head[position + 4 : position + 6] in _LONG_VRS
        length = head[position + 8 : position + 12] if long else head[position + 6 : position + 8]
        position += (12 if long else 8) + int.from_bytes(length, "little")
    return head[:position]


def _is_deflated(stream: BinaryIO) -> bool:
    return _DEFLATED in _meta_header(stream)


def _inflate(stream: BinaryIO, source: str, limits: Limits) -> BinaryIO:
    """The same file in Explicit VR Little Endian; inflated here, because pydicom would inflate without a limit."""
    meta = _meta_header(stream)
    stream.seek(len(meta))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflater.decompress(stream.read(), limits.file_bytes + 1)
    except zlib.error as error:
        raise UnreadableImage("the deflated data set is damaged", source=source) from error
    limits.check_bytes(len(body), source=source)
    return io.BytesIO(meta.replace(_DEFLATED, _EXPLICIT) + body)


def _find_pixels(stream: BinaryIO, little_endian: bool) -> PixelElement | None:
    """The pixel element that pydicom has stopped before, from its tag and length (PS3.5 7.1).

    Whether its VR is explicit is told by the element itself: headers exist that contradict their transfer syntax.
    """
    start, head = stream.tell(), stream.read(12)
    explicit = head[4:6] in _PIXEL_VRS
    size = 12 if explicit else 8
    if len(head) < size:
        return None
    order = "<" if little_endian else ">"
    group, element = struct.unpack_from(f"{order}2H", head)
    keyword = _PIXEL_KEYWORDS.get(group << 16 | element)
    if keyword is None:
        return None
    (length,) = struct.unpack_from(f"{order}L", head, size - 4)
    vr = head[4:6].decode() if explicit else "OW"
    return PixelElement(keyword, vr, start + size, None if length == _UNDEFINED else length)


def _guess_syntax(stream: BinaryIO, pixels: PixelElement | None, implicit: bool, little_endian: bool) -> str:
    """The transfer syntax of a file that names none: from its encoding, or from its first compressed picture."""
    if pixels is not None and pixels.n_bytes is None:
        stream.seek(pixels.offset)
        encoded = stream.read(1 << 16)
        table_end = 8 + int.from_bytes(encoded[4:8], "little")  # the offset table is the first item
        codestream = read_codestream(encoded[table_end + 8 :])
        if codestream is None:
            return RLELossless  # the only one without a codestream header
        return JPEG2000Lossless if codestream.kind == "jpeg2000" else _JPEG_SYNTAX[codestream.sof]
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
