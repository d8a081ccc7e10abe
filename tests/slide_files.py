"""Slides made for a test: white glass with coloured tissue at known places, in every layout that scanners write."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
APERIO = "Aperio Image Library v11\n{width}x{height} [0,0 {width}x{height}] (256x256) JPEG|AppMag = 20|MPP = {mpp}"


def glass(width: int, height: int) -> Pixels:
    """uint8 [height, width, 3] of a scanner's white, which is not quite one."""
    noise = np.random.default_rng(5).integers(-2, 3, (height, width, 3))
    return (243 + noise).astype(np.uint8)


def tissue(width: int, height: int) -> Pixels:
    """uint8 [height, width, 3] of a purple with a texture by which every place is known."""
    y, x = np.mgrid[:height, :width]
    return np.stack([150 + x % 60, 40 + y % 50, 140 + (x // 7 + y // 5) % 50], axis=-1).astype(np.uint8)


def stained(width: int, height: int, *boxes: tuple[int, int, int, int]) -> Pixels:
    """Glass with tissue in the boxes (x, y, width, height)."""
    pixels = glass(width, height)
    for x, y, w, h in boxes:
        pixels[y : y + h, x : x + w] = tissue(width, height)[y : y + h, x : x + w]
    return pixels


def halved(pixels: Pixels) -> Pixels:
    """Every second pixel."""
    return pixels[::2, ::2]


def write_slide(
    path: Path,
    levels: list[Pixels],
    *,
    tile: int = 64,
    sub: bool = False,
    compression: str | None = "zlib",
    aperio_mpp: float | None = None,
    **options: Any,
) -> Path:
    """A tiled pyramid, BigTIFF unless told otherwise: its levels as pages, or as SubIFDs of the first.

    aperio_mpp: laid out as Aperio does, with a thumbnail in strips second, a label and an overview last.
    """
    options = {"tile": (tile, tile), "compression": compression, "metadata": None, **options}
    if levels[0].ndim == 3:
        options = {"photometric": "rgb", **options}
    bigtiff = options.pop("bigtiff", True)
    with tifffile.TiffWriter(path, bigtiff=bigtiff, byteorder=options.pop("byteorder", "<")) as file:
        if aperio_mpp is not None:
            height, width = levels[0].shape[:2]
            text = APERIO.format(width=width, height=height, mpp=aperio_mpp) + "|User = Doe|"
            strips = {"photometric": "rgb", "metadata": None, "rowsperstrip": 16, "compression": "jpeg"}
            file.write(levels[0], description=text, **options)
            file.write(levels[0][::8, ::8], description="Aperio thumbnail", **strips)
            for level in levels[1:]:
                file.write(level, description="Aperio level", **options)
            file.write(glass(50, 40), description="Aperio label 50x40", subfiletype=1, **strips)
            file.write(glass(90, 40), description="Aperio macro 90x40", subfiletype=9, **strips)
            return path
        file.write(levels[0], subifds=len(levels) - 1 if sub else 0, **options)
        for level in levels[1:]:
            file.write(level, subfiletype=1, **options)
    return path


def write_sparse_slide(path: Path, side: int, blobs: list[tuple[int, int, int, int]], tile: int = 256) -> Path:
    """A pyramid of side × side pixels written tile by tile, small on the disk: three levels, each a quarter."""
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level, step in enumerate((1, 4, 16)):
            size = side // step
            file.write(
                _tiles(size, step, blobs, tile),
                shape=(size, size, 3),
                dtype=np.uint8,
                tile=(tile, tile),
                photometric="rgb",
                compression="zlib",
                metadata=None,
                subfiletype=int(level > 0),
            )
    return path


def _tiles(size: int, step: int, blobs: list[tuple[int, int, int, int]], tile: int) -> Iterator[Pixels]:
    white = np.full((tile, tile, 3), 243, np.uint8)
    for top in range(0, size, tile):
        for left in range(0, size, tile):
            pixels = white
            for x, y, w, h in ((v // step for v in blob) for blob in blobs):
                rows = slice(max(y - top, 0), max(y + h - top, 0))
                columns = slice(max(x - left, 0), max(x + w - left, 0))
                if pixels[rows, columns].size:
                    pixels = pixels.copy()
                    pixels[rows, columns] = (180, 60, 150)
            yield pixels


def entry_at(data: bytes, tag: int, page: int = 0) -> int:
    """Where the entry of a tag lies in a little-endian BigTIFF's page: HHQ and eight bytes of value or offset."""
    (directory,) = struct.unpack_from("<Q", data, 8)
    while True:
        (n_tags,) = struct.unpack_from("<Q", data, directory)
        if page == 0:
            break
        (directory,) = struct.unpack_from("<Q", data, directory + 8 + 20 * n_tags)
        page -= 1
    entries = range(directory + 8, directory + 8 + 20 * n_tags, 20)
    return next(at for at in entries if struct.unpack_from("<H", data, at)[0] == tag)


def with_value(data: bytes, tag: int, value: int, page: int = 0) -> bytes:
    """The file with another value (or offset) of one tag."""
    at = entry_at(data, tag, page)
    return data[: at + 12] + struct.pack("<Q", value) + data[at + 20 :]
