"""Size and repair of one compressed picture, before a decoder allocates anything for it.

JPEG: ITU T.81 B.2; JPEG-LS: ITU T.87 C.2; JPEG 2000: ITU T.800 A.5.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # 0xF7 is JPEG-LS
_SEQUENTIAL_DCT = frozenset({0xC0, 0xC1})
_START_OF_SCAN = 0xDA
_END = b"\xff\xd9"
_JP2 = b"\0\0\0\x0cjP  "  # the signature box of a JPEG 2000 file (ITU T.800 I.5.1)
_JPEG_2000 = b"\xff\x4f\xff\x51"  # start of codestream, then its size
_MAX_TILES = 65_535  # ITU T.800 A.4.2


@dataclass(frozen=True, slots=True)
class Codestream:
    """What a compressed picture says about itself. kind: "jpeg" or "jpeg2000"; sof: JPEG's start-of-frame marker."""

    kind: str
    rows: int
    columns: int
    samples: int
    sof: int = 0
    tiles: int = 1

    @property
    def is_sane(self) -> bool:
        """False if a decoder should not even be asked."""
        return self.rows > 0 and self.columns > 0 and self.samples > 0 and 1 <= self.tiles <= _MAX_TILES


def read_codestream(data: bytes) -> Codestream | None:
    """What a JPEG, JPEG-LS or JPEG 2000 codestream says about itself; None if `data` is none of them."""
    if data[:2] == b"\xff\xd8":
        for marker, body in _segments(data):
            if marker in _START_OF_FRAME and len(data) >= body + 6:
                rows, columns = (int.from_bytes(data[body + i : body + i + 2], "big") for i in (1, 3))
                return Codestream("jpeg", rows, columns, data[body + 5], marker)
        return None
    bare = without_boxes(data)
    return _read_siz(bare[4:42]) if bare.startswith(_JPEG_2000) else None


def _read_siz(siz: bytes) -> Codestream | None:
    """JPEG 2000's size segment: grid, its offset, tiles and their offset, as eight 32-bit numbers."""
    if len(siz) < 38:
        return None
    x, y, x0, y0, tile_x, tile_y, tile_x0, tile_y0 = (int.from_bytes(siz[i : i + 4], "big") for i in range(4, 36, 4))
    tiles = -((tile_x0 - x) // tile_x) * -((tile_y0 - y) // tile_y) if tile_x and tile_y else 0
    return Codestream("jpeg2000", y - y0, x - x0, int.from_bytes(siz[36:38], "big"), tiles=tiles)


def without_boxes(data: bytes) -> bytes:
    """The codestream of a JPEG 2000 file, as PS3.5 8.2.4 wants it, empty if there is none; other data as they are.

    pydicom walks the boxes, for ever where one has the length 0.
    """
    if not data.startswith(_JP2):
        return data
    start = data.find(_JPEG_2000)
    return data[start:] if start >= 0 else b""


def is_complete(data: bytes) -> bool:
    """True if the end marker, the same in all three standards, is there; a little padding may follow it."""
    return _END in data[-32:]


def mend_scan_header(data: bytes) -> bytes:
    """`data` with the spectral selection 0…63 that a sequential JPEG must have (ITU T.81 B.2.3, table B.3).

    Some early encoders wrote zeros there, which strict decoders refuse; for a sequential picture it has one value only.
    """
    if data[:2] != b"\xff\xd8":
        return data
    mended, sequential = bytearray(data), False
    for marker, body in _segments(data):
        sequential = sequential or marker in _SEQUENTIAL_DCT
        if marker == _START_OF_SCAN and sequential and body < len(data):
            selection = body + 1 + 2 * data[body]
            if selection + 3 <= len(data):
                mended[selection : selection + 3] = b"\x00\x3f\x00"
    return bytes(mended)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """(marker, offset of its body) of a JPEG, up to and with the first scan."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        yield marker, position + 4
        if marker == _START_OF_SCAN:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
