"""Is a PNG whole? Pillow shows one whose compressed rows end too early, with black where rows are missing.

Layout: W3C PNG, third edition, sections 5 (chunks), 7.2 (filter bytes) and 8 (Adam7 passes).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type → samples per pixel
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_BLOCK = 1 << 20


def is_whole(data: bytes) -> bool:
    """False if the default picture's rows are fewer than its header says. Nothing but their number is checked."""
    found_header = False
    inflate = zlib.decompressobj()
    missing = 0
    for name, body in _chunks(data):
        if name == b"IHDR" and not found_header:
            found_header = True
            missing = _row_bytes(body)
        elif name == b"IDAT":
            try:
                missing -= _inflated_bytes(inflate, body, missing)
            except zlib.error:
                return False
            if missing <= 0:
                return True
    return False


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """(type, contents) of each chunk up to where the file ends."""
    view, at = memoryview(data), 8
    while at + 8 <= len(view):
        (length,) = struct.unpack_from(">I", view, at)
        yield bytes(view[at + 4 : at + 8]), view[at + 8 : at + 8 + length]
        at += 12 + length


def _row_bytes(header: memoryview) -> int:
    """Bytes of all rows, each with its filter byte."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[:13])
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for x, y, step_x, step_y in passes:
        columns, rows = -(-(width - x) // step_x), -(-(height - y) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * depth * _CHANNELS.get(colour, 1) + 7) // 8)
    return total


def _inflated_bytes(
    inflate: zlib._Decompress,  # pyright: ignore[reportPrivateUsage]  # the only name that there is
    body: bytes | memoryview,
    wanted: int,
) -> int:
    """How many bytes `body` adds to the stream, counted in small blocks and not beyond what is wanted."""
    count = 0
    while count < wanted:
        block = inflate.decompress(body, _BLOCK)
        count += len(block)
        body = inflate.unconsumed_tail
        if inflate.eof or not (block and body):
            break
    return count
