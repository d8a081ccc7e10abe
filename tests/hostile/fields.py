"""Where the numbers lie that a decoder trusts: lengths, sizes and counts of each format.

Walkers for sound files that also bear damaged ones: they stop where they do not understand.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hostile.mutate import Field

_LONG_VRS = frozenset({b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"})
_UNDEFINED = 0xFFFFFFFF


def _number(data: bytes, offset: int, size: int, order: str) -> int:
    return int.from_bytes(data[offset : offset + size], order)  # type: ignore[arg-type]


def _row(offset: int, sizes: str, order: str) -> Iterator[Field]:
    """Fields one after another; "442" are two of 4 bytes and one of 2."""
    for size in map(int, sizes):
        yield Field(offset, size, order)
        offset += size


def png(data: bytes) -> list[Field]:
    found, at = [], 8
    while at + 12 <= len(data):
        length, name = _number(data, at, 4, "big"), data[at + 4 : at + 8]
        found.append(Field(at, 4, "big"))
        layout = {b"IHDR": "4411111", b"acTL": "44", b"fcTL": "444442211"}.get(name, "")
        found += _row(at + 8, layout, "big")
        at += 12 + length
    return found


def jpeg(data: bytes, at: int = 0) -> list[Field]:
    found, at = [], at + 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], _number(data, at + 2, 2, "big")
        found.append(Field(at + 2, 2, "big"))
        if marker in (*range(0xC0, 0xD0), 0xF7, 0xDA, 0xDB, 0xDD, 0xF8):  # frames, tables and scans
            found += _row(at + 4, "1", "big")
            found += _row(at + 5, "22", "big") if marker not in (0xC4, 0xDA, 0xDB) else []
            found += _row(at + 9, "1" * max(0, min(length, 24) - 7), "big")
        if data[at + 4 : at + 10] == b"Exif\0\0":
            found += tiff(data, at + 10)
        if marker == 0xDA:
            break
        at += 2 + length
    return found


def tiff(data: bytes, start: int = 0) -> list[Field]:
    order = "big" if data[start : start + 2] == b"MM" else "little"
    big = _number(data, start + 2, 2, order) == 43
    word, n_bytes = (8, 20) if big else (4, 12)  # of an offset, of an entry
    first = start + (8 if big else 4)
    found = [Field(start + 2, 2, order), Field(first, word, order)]
    at, seen = _number(data, first, word, order), set[int]()
    while at and at not in seen and start + at + 2 <= len(data):
        seen.add(at)
        entries = start + at + (8 if big else 2)
        count = min(_number(data, start + at, entries - start - at, order), 64)
        found.append(Field(start + at, entries - start - at, order))
        for entry in range(entries, entries + n_bytes * count, n_bytes):
            short = _number(data, entry + 2, 2, order) == 3
            found += _row(entry, f"22{word}{2 if short else word}", order)
        found.append(Field(entries + n_bytes * count, word, order))
        at = _number(data, entries + n_bytes * count, word, order)
    return found


def bmp(data: bytes) -> list[Field]:
    return [*_row(2, "4", "little"), *_row(10, "4444224444444444", "little")]


def gif(data: bytes) -> list[Field]:
    found = list(_row(6, "22111", "little"))
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    while at + 12 < len(data) and data[at] in (0x21, 0x2C):
        if data[at] == 0x21:
            at += 2
        else:
            found += _row(at + 1, "222211", "little")
            at += 11 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0)
        while at < len(data) and data[at]:
            found.append(Field(at, 1, "little"))
            at += 1 + data[at]
        at += 1
    return found


def webp(data: bytes) -> list[Field]:
    found, at = [Field(4, 4, "little")], 12
    while at + 8 <= len(data):
        name = data[at : at + 4]
        found.append(Field(at + 4, 4, "little"))
        layout = {b"VP8 ": "111111122", b"VP8L": "14", b"VP8X": "433", b"ANIM": "42", b"ANMF": "333331"}.get(name, "")
        found += _row(at + 8, layout, "little")
        length = _number(data, at + 4, 4, "little")
        at += 24 if name == b"ANMF" else 8 + length + length % 2
    return found


def jpeg_2000(data: bytes) -> list[Field]:
    found, at = [], 0
    while at + 8 <= len(data) and data[at : at + 4] != b"\xff\x4f\xff\x51":
        found += [Field(at, 4, "big"), *_row(at + 8, "4421111" if data[at + 4 : at + 8] == b"ihdr" else "", "big")]
        length = _number(data, at, 4, "big")
        at += 8 if length < 8 or data[at + 4 : at + 8] in (b"jp2h", b"jp2c") else length
    return found + codestream(data, at)


def codestream(data: bytes, at: int) -> list[Field]:
    """Numbers of a JPEG 2000 codestream's main header."""
    found, at = [], at + 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], _number(data, at + 2, 2, "big")
        layout = {0x51: "2444444442111111111", 0x90: "2411"}.get(marker, "1" * min(max(length - 2, 0), 16))
        found += [Field(at + 2, 2, "big"), *_row(at + 4, layout, "big")]
        if marker == 0x90:  # a tile: its data follows
            break
        at += 2 + length
    return found


def boxes(data: bytes, at: int = 0, end: int | None = None) -> list[Field]:
    """ISO base media files (AVIF): lengths of all boxes, and every word of the short ones."""
    found, end = [], len(data) if end is None else end
    while at + 8 <= end:
        length, name = _number(data, at, 4, "big"), data[at + 4 : at + 8]
        found.append(Field(at, 4, "big"))
        if length < 8:
            break
        if name in (b"meta", b"iprp", b"ipco", b"iinf", b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            found += boxes(data, at + {b"meta": 12, b"iinf": 14}.get(name, 8), min(at + length, end))
        elif name != b"mdat":
            found += _row(at + 8, "4" * min((length - 8) // 4, 16), "big")
            found += _row(at + 8, "1" * min(length - 8, 32), "big")
        at += length
    return found


def nifti(data: bytes) -> list[Field]:
    order = "little" if data[:1] in (b"\x5c", b"\x1c") else "big"
    if data[4:7] == b"n+2":
        return [*_row(12, "22", order), *_row(16, "8" * 24, order), *_row(344, "44", order)]
    extension = _row(348, "444", order)
    return [*_row(0, "4", order), *_row(40, "2" * 18, order), *_row(76, "4" * 16, order), *_row(252, "22", order),
            *_row(256, "4" * 18, order), *extension]  # fmt: skip


def zip_archive(data: bytes) -> list[Field]:
    found = []
    layouts = {b"PK\3\4": "22222444" + "22", b"PK\1\2": "222222444" + "2222244", b"PK\5\6": "2222442"}
    for signature, layout in layouts.items():
        at = data.find(signature)
        while at >= 0:
            found += _row(at + 4, layout, "little")
            at = data.find(signature, at + 4)
    return found


def dicom(data: bytes) -> list[Field]:
    """Tags, VRs, lengths and small values of all elements and items, and what is inside encapsulated pixels."""
    found: list[Field] = []
    at = 132 if data[128:132] == b"DICM" else 0
    order, encapsulated = "little", False
    while at + 8 <= len(data):
        if at > 132 and order == "little" and data[at : at + 2] == b"\0\x08":  # the data set is big endian
            order = "big"
        group, _ = struct.unpack_from("<2H" if order == "little" else ">2H", data, at)
        vr = data[at + 4 : at + 6]
        if group == 0xFFFE or not (vr.isalpha() and vr.isupper()):
            size, head = 4, 8
        elif vr in _LONG_VRS:
            size, head = 4, 12
        else:
            size, head = 2, 8
        length = _number(data, at + head - size, size, order)
        found += [*_row(at, "22", order), Field(at + head - size, size, order)]
        found += _row(at + 4, "11" if head == 12 or size == 2 else "", order)
        at += head
        if encapsulated:
            found += _picture(data, at) if length >= 32 else []
        elif length == _UNDEFINED or vr == b"SQ" or group == 0xFFFE:
            encapsulated = group == 0x7FE0
            continue  # its items, or their elements, follow
        elif length <= 8:
            found += _row(at, str(length) if length in (2, 4, 8) else "", order)
        at += length
    return found


def _picture(data: bytes, at: int) -> list[Field]:
    match data[at : at + 2]:
        case b"\xff\xd8":
            return jpeg(data, at)
        case b"\xff\x4f":
            return codestream(data, at)
    return list(_row(at, "4" * 16, "little"))  # RLE: the number of segments and their offsets (PS3.5 G.5)
