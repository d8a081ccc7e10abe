"""Picture files as Pillow writes them, and as it cannot: 16-bit colour PNG, TIFF in any byte order, type and layout."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def saved(picture: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    """A file as Pillow writes it."""
    buffer = io.BytesIO()
    image = picture.copy() if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, kind, **options)  # of a copy: Pillow leaves options of one format behind for the next
    return buffer.getvalue()


def write_frames(path: Path, frames: Iterable[NDArray[Any]]) -> Path:
    """A file of several frames, in a format that has them."""
    first, *others = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=others)
    return path


def stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    """What a deep picture should look like: its own range over 0…255."""
    wide = values.astype(np.float64)
    return np.rint((wide - wide.min()) / (wide.max() - wide.min()) * 255).astype(np.uint8)


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(values: NDArray[Any], *, rows: int | None = None, extra: bytes = b"") -> bytes:
    """A PNG of uint8 or uint16 [H, W, 1…4], each row filtered by "Up" from the second on; `rows` of them at most."""
    height, width, channels = values.shape
    stored = np.frombuffer(values.astype(values.dtype.newbyteorder(">")).tobytes(), np.uint8).reshape(height, -1)
    lines = [b"\0" + stored[0].tobytes()]
    lines += [b"\2" + (stored[y] - stored[y - 1]).tobytes() for y in range(1, height)]
    depth, colour = values.dtype.itemsize * 8, {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(lines[:rows]))
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(
    values: NDArray[Any],
    *,
    order: str = "<",
    photometric: int | None = None,
    deflate: bool = False,
    planar: bool = False,
    tile: int | None = None,
    extra_samples: int | None = None,
    orientation: int = 1,
    fill_order: int = 1,
    loops: bool = False,
) -> bytes:
    """A one-page TIFF of [H, W, C]: strips of four rows, or square tiles. If it loops, its page follows itself."""
    height, width, channels = values.shape
    stored = values.astype(values.dtype.newbyteorder(order))
    planes = np.split(stored, channels, axis=2) if planar else [stored]
    blocks = [block for plane in planes for block in _blocks(plane, tile)]
    data = [zlib.compress(block) if deflate else block for block in blocks]
    if fill_order == 2:  # each byte's bits from the other end
        turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
        data = [block.translate(turned) for block in data]
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [values.dtype.itemsize * 8] * channels),
        259: ("H", [8 if deflate else 1]),
        262: ("H", [(2 if channels >= 3 else 1) if photometric is None else photometric]),
        266: ("H", [fill_order]),
        274: ("H", [orientation]),
        277: ("H", [channels]),
        284: ("H", [2 if planar else 1]),
        324 if tile else 273: ("I", []),
        325 if tile else 279: ("I", [len(block) for block in data]),
        339: ("H", [kind] * channels),
    }
    entries |= {322: ("I", [tile]), 323: ("I", [tile])} if tile else {278: ("I", [4])}
    if extra_samples is not None:
        entries[338] = ("H", [extra_samples])
    return _laid_out(order, entries, data, loops)


def _blocks(plane: NDArray[Any], tile: int | None) -> list[bytes]:
    height, width = plane.shape[:2]
    if tile is None:
        return [plane[y : y + 4].tobytes() for y in range(0, height, 4)]
    padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
    corners = itertools.product(range(0, height, tile), range(0, width, tile))
    return [padded[y : y + tile, x : x + tile].tobytes() for y, x in corners]


def _laid_out(order: str, entries: dict[int, tuple[str, list[int]]], data: list[bytes], loops: bool) -> bytes:
    """Header, pixel data, then the directory and its lists."""
    starts = list(itertools.accumulate((len(block) for block in data), initial=8))
    offsets_tag = 324 if 324 in entries else 273
    entries[offsets_tag] = ("I", starts[:-1])
    directory_at = starts[-1] + starts[-1] % 2
    lists_at = directory_at + 2 + 12 * len(entries) + 4
    directory, lists = struct.pack(order + "H", len(entries)), b""
    for tag, (code, numbers) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(packed) > 4:
            packed, lists = struct.pack(order + "I", lists_at + len(lists)), lists + packed + b"\0" * (len(packed) % 2)
        directory += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[code], len(numbers)) + packed.ljust(4, b"\0")
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", directory_at)
    following = struct.pack(order + "I", directory_at if loops else 0)
    body = b"".join(data)
    return header + body + b"\0" * (len(body) % 2) + directory + following + lists
