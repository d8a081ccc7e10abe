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
from pydicom import filereader
from pydicom.dataset import FileDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
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
from dualsight.image.sniff import opened

_PIXEL_KEYWORDS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}
_PIXEL_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"UN"})
_UNDEFINED = 0xFFFFFFFF
_DEFLATED = DeflatedExplicitVRLittleEndian.encode()
_EXPLICIT = ExplicitVRLittleEndian.encode().ljust(len(_DEFLATED), b"\0")  # readers strip the padding

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
    with opened(data, source) as stream:
        limits.check_bytes(stream.seek(0, io.SEEK_END), source=source)
        stream.seek(0)
        yield _read(stream, source, limits)


def _read(stream: BinaryIO, source: str, limits: Limits) -> DicomFile:
    head = stream.read(SIGNATURE_BYTES)
    note = None
    if head[128:132] != b"DICM":
        start = headerless_start(head)
        if start is None:
            raise UnsupportedImage("not a DICOM file", source=source)
        note = "no DICOM meta header"
        stream = io.BytesIO(head[start:] + stream.read()) if start else stream
    if _is_deflated(stream, source):
        stream = _inflated(stream, source, limits)
    with damage(source, "the DICOM header is damaged"):
        stream.seek(0)
        header = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
        implicit, little_endian = header.original_encoding
        pixels = _find_pixels(stream, bool(little_endian))
        syntax = header.file_meta.get("TransferSyntaxUID") or _guess_syntax(
            stream, pixels, bool(implicit), bool(little_endian)
        )
        return DicomFile(header, UID(str(syntax)), pixels, stream, note)


def _is_deflated(stream: BinaryIO, source: str) -> bool:
    """Whether pydicom would inflate the data set, asked of its own reader; `stream` is left behind group 0002."""
    with damage(source, "the DICOM header is damaged"):
        stream.seek(0)
        filereader.read_preamble(stream, force=True)
        # the public one refuses a file without preamble
        meta = filereader._read_file_meta_info(stream)  # pyright: ignore[reportPrivateUsage]
        return bool(meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian)


def _inflated(stream: BinaryIO, source: str, limits: Limits) -> BinaryIO:
    """The same file in Explicit VR Little Endian; inflated here, because pydicom would inflate without a limit.

    stream: behind its meta header.
    """
    end = stream.tell()
    try:
        body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream.read(), limits.file_bytes + 1)
    except zlib.error as error:
        raise UnreadableImage("the deflated data set is damaged", source=source) from error
    limits.check_bytes(len(body), source=source)
    stream.seek(0)
    plain = io.BytesIO(stream.read(end).replace(_DEFLATED, _EXPLICIT) + body)
    if _is_deflated(plain, source):
        raise UnreadableImage("the deflated data set is deflated again", source=source)  # group 0002 goes on inside
    return plain


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
