"""TIFF pages deeper than 8 bits, in any layout: Pillow reads few of them, drops low bytes, and swaps some twice.

libtiff (inside Pillow) only unpacks here. The page's strips or tiles are described to it anew, as an 8-bit grey page
with a pixel for every byte; what the bytes mean is done by numpy. TIFF 6.0; predictor 3 is Adobe Technical Note 3.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from dualsight.errors import ImageTooLarge, UnreadableImage
from dualsight.image.limits import Limits

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_ASSOCIATED, _UNASSOCIATED = 1, 2  # kinds of alpha
# compressions that know nothing of samples: none, LZW, deflate (two numbers), PackBits, LZMA, Zstandard
_BYTEWISE = {1, 5, 8, 32946, 32773, 34925, 50000}
# how many bytes one stored byte can at most become; the others have no such bound
_MOST_FROM_A_BYTE = {1: 1, 5: 4096, 8: 1040, 32946: 1040, 32773: 128}
_TYPES = {1: "u", 2: "i", 3: "f"}  # sample format → numpy kind


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepPage:
    """Samples of a deep page: colour [H, W, 1 or 3] as stored, alpha [H, W], or None if it hides nothing."""

    colour: NDArray[Any]
    alpha: NDArray[Any] | None
    white_is_zero: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page's tags, as far as they matter here."""

    width: int
    height: int
    bits: tuple[int, ...]
    compression: int
    photometric: int
    planar: bool
    predictor: int
    sample_format: tuple[int, ...]
    extra_samples: tuple[int, ...]
    orientation: int
    fill_order: int
    block_width: int  # a tile's, or the page's where it is in strips
    block_height: int
    tiled: bool
    offsets: tuple[int, ...]
    byte_counts: tuple[int, ...]
    byte_order: str  # "<" or ">"

    def can_be_filled(self, file_bytes: int) -> bool:
        """False if the strips or tiles hold too few bytes for this size, however well they are compressed.

        Asked before a canvas for the header's pixels is allocated: a damaged size would cost gigabytes.
        """
        most = _MOST_FROM_A_BYTE.get(self.compression)
        stored = sum(min(count, file_bytes) for count in self.byte_counts) or file_bytes * len(self.offsets)
        needed = self.height * (self.width * sum(self.bits) // 8)
        if self.tiled:  # tiles are stored whole, beyond the page's edges too
            needed = max(needed, self.block_height * (self.block_width * max(self.bits) // 8))
        return most is None or needed <= stored * most

    @property
    def is_deep(self) -> bool:
        """True if its samples are plain grey or RGB numbers of 16, 32 or 64 bits."""
        return (
            len(set(self.bits)) == 1
            and self.bits[0] in (16, 32, 64)
            and len(set(self.sample_format)) == 1
            and self.sample_format[0] in _TYPES
            and self.compression in _BYTEWISE
            and self.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
        )


def pages(data: bytes, *, source: str, limit: int) -> list[Page]:
    """The pages of a TIFF or BigTIFF file in their order. Raises ImageTooLarge if they are more than `limit`."""
    header = data[: 16 if 43 in data[2:4] else 8]  # BigTIFF's version number is 43
    tags = ImageFileDirectory_v2(header)
    found: list[Page] = []
    seen: set[int] = set()
    file = io.BytesIO(data)
    while tags.next and tags.next not in seen:
        if len(found) == limit:
            raise ImageTooLarge(f"more than the limit of {limit:,} frames", source=source)
        seen.add(tags.next)
        file.seek(tags.next)
        tags = ImageFileDirectory_v2(header)
        tags.next = 0  # a directory that is cut short leads nowhere
        tags.load(file)
        found.append(_page(tags))
    return found


def _page(tags: ImageFileDirectory_v2) -> Page:
    def numbers(tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
        value = tags.get(tag, default)
        return tuple(int(v) for v in value) if isinstance(value, tuple) else (int(value),)

    width, height = numbers(256, (0,))[0], numbers(257, (0,))[0]
    samples = numbers(277, (1,))[0]
    bits, sample_format = numbers(258, (1,)), numbers(339, (1,))
    tiled = 322 in tags
    return Page(
        width=width,
        height=height,
        bits=(bits * min(samples, 16) if len(bits) == 1 else bits)[: max(samples, 1)],
        compression=numbers(259, (1,))[0],
        photometric=numbers(262, (0,))[0],
        planar=numbers(284, (1,))[0] == 2,
        predictor=numbers(317, (1,))[0],
        sample_format=sample_format,
        extra_samples=numbers(338, ()),
        orientation=numbers(274, (1,))[0],
        fill_order=numbers(266, (1,))[0],
        block_width=numbers(322, (0,))[0] if tiled else width,
        block_height=numbers(323, (0,))[0] if tiled else min(numbers(278, (height,))[0], height),
        tiled=tiled,
        offsets=numbers(324 if tiled else 273, ()),
        byte_counts=numbers(325 if tiled else 279, ()),
        byte_order="<" if tags.prefix == b"II" else ">",
    )


def read_deep(data: bytes, page: Page, *, source: str, frame: int | None, limits: Limits) -> DeepPage:
    """The samples of a deep page (`page.is_deep`), in native byte order.

    Raises UnreadableImage if its layout is impossible, ImageTooLarge if its bytes are over the limit.
    """
    n_samples = len(page.bits)
    n_planes = n_samples if page.planar else 1
    across, down = -(-page.width // max(page.block_width, 1)), -(-page.height // max(page.block_height, 1))
    if min(page.block_width, page.block_height) < 1 or across * down * n_planes != len(page.offsets):
        raise UnreadableImage("strips or tiles do not cover the page", source=source, frame=frame)
    limits.check_bytes(across * page.block_width * page.height * n_samples * page.bits[0] // 8, source=source)
    planes: list[NDArray[Any]] = []
    for plane in range(n_planes):
        blocks = slice(plane * across * down, (plane + 1) * across * down)
        planes.append(_read_plane(data, page, blocks, across, n_samples // n_planes))
    values = np.concatenate(planes, axis=2)  # [H, W, n_samples]
    n_colours = 3 if page.photometric == _RGB else 1
    if n_samples < n_colours:
        raise UnreadableImage(f"{n_samples} samples are no RGB", source=source, frame=frame)
    extra = page.extra_samples or ((_UNASSOCIATED,) if n_samples == 4 else ())
    # associated alpha needs nothing: colours multiplied by it are what black shows
    alpha = values[..., n_colours] if extra[:1] == (_UNASSOCIATED,) and n_samples > n_colours else None
    return DeepPage(colour=values[..., :n_colours], alpha=alpha, white_is_zero=page.photometric == _WHITE_IS_ZERO)


def _read_plane(data: bytes, page: Page, blocks: slice, across: int, n_samples: int) -> NDArray[Any]:
    """[H, W, n_samples] of one plane (of all samples, unless each has its own plane)."""
    sample = np.dtype(f"{page.byte_order}{_TYPES[page.sample_format[0]]}{page.bits[0] // 8}")
    pixel_bytes = n_samples * sample.itemsize
    block_bytes = page.block_width * pixel_bytes
    offsets, counts = page.offsets[blocks], page.byte_counts[blocks]
    if len(counts) != len(offsets):
        counts = (0,) * len(offsets)
    size = (across * block_bytes, page.height)
    image = TiffImageFile(io.BytesIO(_as_bytes_page(data, page, size, block_bytes, offsets, counts)), "")
    image.im = Image.new("L", size).im  # our limits have been asked; Pillow's count these bytes as pixels
    stored = np.asarray(image).reshape(page.height, across, page.block_width, pixel_bytes)
    rows = stored.reshape(page.height, across, block_bytes)
    values = _unpredicted(rows, page, sample, n_samples)  # [H, across, block_width, n_samples]
    return values.reshape(page.height, across * page.block_width, n_samples)[:, : page.width]


def _unpredicted(rows: NDArray[np.uint8], page: Page, sample: np.dtype[Any], n_samples: int) -> NDArray[Any]:
    """Samples [H, across, block_width, n_samples] in native order of bytes [H, across, block_bytes]."""
    shape = (*rows.shape[:2], page.block_width, n_samples)
    native = sample.newbyteorder("=")
    if page.predictor == 3:  # bytes by significance, each the difference to its neighbour of the same sample
        steps = rows.reshape(*rows.shape[:2], -1, n_samples)
        summed = np.cumsum(steps, axis=2, dtype=np.uint8).reshape(*rows.shape[:2], sample.itemsize, -1)
        whole = np.ascontiguousarray(summed.swapaxes(2, 3)).view(sample.newbyteorder(">"))
        return whole.reshape(shape).astype(native)
    values = np.ascontiguousarray(rows).view(sample).reshape(shape).astype(native)
    if page.predictor == 2:  # each sample the difference to its left neighbour, modulo its size
        unsigned = values.view(f"u{sample.itemsize}")
        values = np.cumsum(unsigned, axis=2, dtype=unsigned.dtype).view(native)
    return values


def _as_bytes_page(
    data: bytes,
    page: Page,
    size: tuple[int, int],
    block_bytes: int,
    offsets: tuple[int, ...],
    counts: tuple[int, ...],
) -> bytes:
    """The file with a new first directory at its end, which describes the blocks as rows of 8-bit grey."""
    entries: list[tuple[int, tuple[int, ...]]] = [
        (256, (size[0],)),
        (257, (size[1],)),
        (258, (8,)),
        (259, (page.compression,)),
        (262, (_BLACK_IS_ZERO,)),
        (266, (page.fill_order,)),
        (277, (1,)),
    ]
    if page.tiled:
        entries += [(322, (block_bytes,)), (323, (page.block_height,)), (324, offsets), (325, counts)]
    else:
        entries += [(273, offsets), (278, (page.block_height,)), (279, counts)]
    start = len(data) + len(data) % 2
    directory = struct.pack("<H", len(entries))
    lists_at = start + 2 + 12 * len(entries) + 4
    lists = b""
    for tag, values in sorted(entries):
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            packed, lists = struct.pack("<I", lists_at + len(lists)), lists + packed
        directory += struct.pack("<HHI", tag, 4, len(values)) + packed
    padding = b"\0" * (len(data) % 2)
    return b"".join((b"II*\0", struct.pack("<I", start), memoryview(data)[8:], padding, directory, b"\0" * 4, lists))
