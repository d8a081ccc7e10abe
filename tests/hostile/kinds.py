"""What is fuzzed: a line a kind. To add one, give it seeds and, if it has any, the places of its numbers."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from hostile import archive_seeds, dicom_seeds, fields, seeds
from hostile.mutate import Field, damaged


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """A compressed shell around what is damaged: without it, nearly every change would end at the shell."""

    unpack: Callable[[bytes], bytes]
    pack: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of file; seeds, fields, tokens, signature and pixels are told by `mutate.damaged`.

    mend: makes checksums right again, so that a change reaches what they guard.
    """

    name: str
    seeds: Callable[[], list[bytes]]
    fields: Callable[[bytes], list[Field]] = lambda data: []
    tokens: tuple[bytes, ...] = ()
    signature: int = 4
    pixels: bytes = b""
    packing: Packing | None = None
    mend: Callable[[bytes], bytes] | None = None
    how: Literal["bytes", "path", "scan"] = "bytes"  # what is opened


def _png_checksums(data: bytes) -> bytes:
    mended, at = bytearray(data), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", mended, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(mended)


def _inflated(data: bytes) -> bytes:
    """A deflated DICOM file with its data set inflated behind the meta header."""
    start = _data_set_start(data)
    return data[:start] + zlib.decompress(data[start:], -zlib.MAX_WBITS)


def _deflated(data: bytes) -> bytes:
    start = min(_data_set_start(data), len(data))
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return data[:start] + deflate.compress(data[start:]) + deflate.flush()


def _data_set_start(data: bytes) -> int:
    """Behind group 0002, by its length element (PS3.10 7.1)."""
    return 144 + int.from_bytes(data[140:144], "little")


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


_PNG = (b"IDAT", b"IEND", b"fdAT")
_JPEG = (b"\xff\xd9", b"\xff\xda", b"\xff\xd0", b"\xff\xff\xff", b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\x02")
_GIF = (b"\x2c", b"\x21\xf9\x04", b";", b"\0")
_WEBP = (b"VP8X", b"VP8L", b"ALPH", b"ANMF")
_PNM = (b"#", b"\n", b"P7", b"-", b"nan", b"1e30", b"\0")
_JPEG_2000 = (b"\xff\xd9", b"\xff\x90", b"\xff\x93")
_AVIF = (b"meta", b"iloc", b"ispe", b"\0\0\0\0")
_SEQUENCE = (b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0")
_ELEMENTS = (b"SQ\0\0\xff\xff\xff\xff", b"UN\0\0", b"DS", b"\x28\0\x08\0IS\x06\0999999")
_DICOM = (*_SEQUENCE, *_ELEMENTS, b"1e999", b"nan ", b"-1", b"\\")
_META = (b"LOCAL", b"LIST", b"/dev/zero", b"MET_LONG_LONG", b"nan", b"True", b" = ", b"\n")
_NRRD = (b"gzip", b"raw", b"ascii", b"/dev/zero", b"(nan,0,0)", b"none", b": ", b"\n\n")
_ZIP = (b"../", b"/", b"\\", b"C:", b"\0", b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7")


def _dicom(
    name: str, seeds: Callable[[], list[bytes]], tokens: tuple[bytes, ...] = (), packing: Packing | None = None
) -> Kind:
    return Kind(
        name=f"dicom-{name}",
        seeds=seeds,
        fields=fields.dicom,
        tokens=_DICOM + tokens,
        signature=132,  # preamble and prefix
        pixels=b"\xe0\x7f\x10\x00",
        packing=packing,
    )


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(name="png", seeds=seeds.png_seeds, fields=fields.png, tokens=_PNG, signature=8, mend=_png_checksums),
        Kind(name="jpeg", seeds=seeds.jpeg_seeds, fields=fields.jpeg, tokens=_JPEG, signature=3),
        Kind(name="tiff", seeds=seeds.tiff_seeds, fields=fields.tiff),
        Kind(name="bmp", seeds=seeds.bmp_seeds, fields=fields.bmp, signature=2),
        Kind(name="gif", seeds=seeds.gif_seeds, fields=fields.gif, tokens=_GIF, signature=6),
        Kind(name="webp", seeds=seeds.webp_seeds, fields=fields.webp, tokens=_WEBP, signature=12),
        Kind(name="pnm", seeds=seeds.pnm_seeds, tokens=_PNM, signature=2),
        Kind(name="jpeg-2000", seeds=seeds.jpeg_2000_seeds, fields=fields.jpeg_2000, tokens=_JPEG_2000),
        Kind(name="avif", seeds=seeds.avif_seeds, fields=fields.boxes, tokens=_AVIF, signature=12),
        _dicom("native", dicom_seeds.dicom_native_seeds),
        _dicom("multi-frame", dicom_seeds.dicom_multi_frame_seeds),
        _dicom("rle", dicom_seeds.dicom_rle_seeds),
        _dicom("jpeg", dicom_seeds.dicom_jpeg_seeds, _JPEG),
        _dicom("jpeg-lossless", dicom_seeds.dicom_jpeg_lossless_seeds, _JPEG),
        _dicom("jpeg-ls", dicom_seeds.dicom_jpeg_ls_seeds, _JPEG),
        _dicom("jpeg-2000", dicom_seeds.dicom_jpeg_2000_seeds, _JPEG_2000),
        _dicom("deflated", dicom_seeds.dicom_deflated_seeds, packing=Packing(unpack=_inflated, pack=_deflated)),
        Kind(name="slide", seeds=seeds.slide_seeds, fields=fields.tiff, how="path"),
        Kind(name="nifti", seeds=seeds.nifti_seeds, fields=fields.nifti),
        Kind(name="metaimage", seeds=seeds.metaimage_seeds, tokens=_META, signature=12),
        Kind(name="nrrd", seeds=seeds.nrrd_seeds, tokens=_NRRD, signature=8),
        Kind(
            name="gzip",
            seeds=archive_seeds.gzip_seeds,
            fields=fields.nifti,
            packing=Packing(unpack=gzip.decompress, pack=_gzip),
        ),
        Kind(name="zip", seeds=archive_seeds.zip_seeds, fields=fields.zip_archive, tokens=_ZIP, how="scan"),
    )
}


def damaged_file(kind: Kind, number: int) -> bytes:
    """The `number`th damaged file of a kind."""
    numbers = random.Random(f"{kind.name} {number}")
    packing = kind.packing if numbers.random() < 0.7 else None
    data = damaged(
        _unpacked(kind) if packing else _seeds(kind), numbers, kind.fields, kind.tokens, kind.signature, kind.pixels
    )
    if packing:
        return packing.pack(data)
    return kind.mend(data) if kind.mend and numbers.random() < 0.8 else data


@cache
def _seeds(kind: Kind) -> list[bytes]:
    return kind.seeds()


@cache
def _unpacked(kind: Kind) -> list[bytes]:
    assert kind.packing
    return [kind.packing.unpack(data) for data in _seeds(kind)]
