"""Is a TIFF a slide, and which levels has it? Told by its directories alone: no pixel and no list of tiles is read.

TIFF 6.0 section 2 (directories) and 15 (tiles), BigTIFF, and SubIFDs of TIFF Technical Note 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from dualsight.errors import ImageTooLarge, UnreadableImage
from dualsight.image.limits import Limits

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _DESCRIPTION = 254, 256, 257, 258, 259, 262, 270
_SAMPLES, _X_RESOLUTION, _Y_RESOLUTION, _PLANAR, _UNIT = 277, 282, 283, 284, 296
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTE_COUNTS, _SUB_DIRECTORIES = 322, 323, 324, 325, 330
_REDUCED = 1  # bit of the new subfile type
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_RATIONAL = 5

_MOST_PAGES = 128  # a pyramid has a dozen; a stack of tiled pages need not be walked to its end
_MOST_TAGS = 4096
_MOST_VALUES = 64  # of one tag that is read here
_MOST_TILES = 1 << 22  # of one level: a million pixels squared in tiles of 512
_MOST_TEXT = 1 << 20
_LARGEST_TAG = 1 << 26  # bytes; colour profiles and XML are far smaller


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """One page's tags, as far as they matter here. offset: of the directory in the file. tile_width is 0 for strips.

    resolution: pixels per `unit` (2 inch, 3 cm) along x and y, or None. n_tiles: as many as both lists have.
    """

    offset: int
    width: int
    height: int
    tile_width: int
    tile_height: int
    n_tiles: int
    is_reduced: bool
    bits: tuple[int, ...]
    samples: int
    compression: int
    photometric: int
    is_planar: bool
    description: str
    resolution: tuple[float, float] | None
    unit: int
    sub_directories: tuple[int, ...]

    @property
    def is_tiled(self) -> bool:
        """True if its pixels are in tiles."""
        return self.tile_width > 0 or self.tile_height > 0

    @property
    def pixels(self) -> int:
        """Its width times its height."""
        return self.width * self.height

    @property
    def is_aperio(self) -> bool:
        """True if an Aperio scanner or its software wrote the page."""
        return self.description.startswith("Aperio")

    def is_smaller(self, base: Directory) -> bool:
        """True if it shows the same as `base` in fewer pixels: as wide for its height, to rounding."""
        fewer = 0 < self.width < base.width and 0 < self.height < base.height
        slack = max(base.width, base.height) + 0.01 * base.width * self.height  # a pixel, or one in a hundred
        return fewer and abs(self.width * base.height - self.height * base.width) <= slack


def find_levels(file: BinaryIO, *, limits: Limits, source: str) -> tuple[Directory, ...]:
    """The levels of a slide, from the finest; nothing if the TIFF is an ordinary one, which `raster` reads.

    A slide's first page is tiled, and it has tiled pages or SubIFDs of reduced resolution, or is over the limit of
    pixels. Its base is the largest tiled page; labels, overviews and thumbnails in strips are no levels.
    Raises UnreadableImage for a slide whose directories are damaged, ImageTooLarge for one of too many tiles.
    """
    walk = _Walk(file)
    tiled = [page for page in walk.chain() if page.is_tiled]
    if not tiled:
        return ()
    base = max(tiled, key=lambda page: page.pixels)
    subs = [page for page in walk.at(base.sub_directories) if page.is_tiled]
    told = base.is_aperio or base.pixels > limits.pixels
    below = [page for page in tiled if told or page.is_reduced] + subs
    smaller = sorted((page for page in below if page.is_smaller(base)), key=lambda page: -page.width)
    if not smaller and base.pixels <= limits.pixels:
        return ()
    levels = tuple({page.width: page for page in (base, *smaller)}.values())
    if walk.damage:
        raise UnreadableImage(f"a damaged slide: {walk.damage}", source=source)
    for level in levels:
        _check(level, source)
    return levels


def _check(level: Directory, source: str) -> None:
    name = f"{level.width} × {level.height} pixels in tiles of {level.tile_width} × {level.tile_height}"
    if min(level.tile_width, level.tile_height) < 1:
        raise UnreadableImage(f"a damaged slide: {name}", source=source)
    across, down = -(-level.width // level.tile_width), -(-level.height // level.tile_height)
    if across * down > _MOST_TILES:
        raise ImageTooLarge(f"a slide of {name}, {across * down:,} of them", source=source)
    if level.n_tiles != across * down * (level.samples if level.is_planar else 1):
        problem = f"a damaged slide: {name}, but {level.n_tiles:,} tiles of {across * down:,}"
        raise UnreadableImage(problem, source=source)


class _Walk:
    """Through the directories of one file. damage: what was wrong with the first that could not be read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, 2)
        self.damage = ""
        file.seek(0)
        head = file.read(16).ljust(16, b"\0")
        self.order = ">" if head[:2] == b"MM" else "<"
        self.big = struct.unpack_from(self.order + "H", head, 2)[0] == 43
        self.first = struct.unpack_from(self.order + ("Q" if self.big else "I"), head, 8 if self.big else 4)[0]
        self.seen: set[int] = set()

    def chain(self) -> Iterator[Directory]:
        """The pages in their order; none after the first if that is not tiled. A chain that loops ends there."""
        offset = self.first
        for number in range(_MOST_PAGES):
            found = self._read(offset) if offset and offset not in self.seen else None
            if found is None:
                return
            page, offset = found
            yield page
            if number == 0 and not page.is_tiled:
                return

    def at(self, offsets: tuple[int, ...]) -> Iterator[Directory]:
        """The directories at those places."""
        for offset in offsets:
            found = self._read(offset) if offset not in self.seen else None
            if found:
                yield found[0]

    def _read(self, offset: int) -> tuple[Directory, int] | None:
        """A directory and where the next one is."""
        self.seen.add(offset)
        count_code, entry_bytes, next_code = ("Q", 20, "Q") if self.big else ("H", 12, "I")
        try:
            (n_tags,) = self._unpack(offset, count_code)
            if n_tags > _MOST_TAGS:
                raise ValueError("too many tags")
            start = offset + struct.calcsize(count_code)
            entries = self._bytes(start, n_tags * entry_bytes)
            (following,) = self._unpack(start + len(entries), next_code)
            return self._directory(offset, entries, entry_bytes), following
        except (struct.error, ValueError, OverflowError) as error:
            self.damage = self.damage or f"a directory at byte {offset:,} cannot be read ({error})"
            return None

    def _directory(self, offset: int, entries: bytes, entry_bytes: int) -> Directory:
        tags: dict[int, tuple[int, int, bytes]] = {}  # number → type, count, first values
        for at in range(0, len(entries), entry_bytes):
            tag, kind, count = struct.unpack_from(self.order + ("HHQ" if self.big else "HHI"), entries, at)
            tags[tag] = (kind, count, self._value(tag, kind, count, entries[at + (12 if self.big else 8) :]))

        def numbers(tag: int, default: int = 0) -> tuple[int, ...]:
            kind, _, value = tags.get(tag, (0, 0, b""))
            code = _NUMBERS.get(kind)
            n = len(value) // struct.calcsize(code) if code else 0
            return struct.unpack_from(f"{self.order}{n}{code}", value) if n else (default,)

        return Directory(
            offset=offset,
            width=numbers(_WIDTH)[0],
            height=numbers(_HEIGHT)[0],
            tile_width=numbers(_TILE_WIDTH)[0],
            tile_height=numbers(_TILE_HEIGHT)[0],
            n_tiles=min(tags[t][1] if t in tags else 0 for t in (_TILE_OFFSETS, _TILE_BYTE_COUNTS)),
            is_reduced=bool(numbers(_SUBFILE)[0] & _REDUCED),
            bits=numbers(_BITS, 1),
            samples=numbers(_SAMPLES, 1)[0],
            compression=numbers(_COMPRESSION, 1)[0],
            photometric=numbers(_PHOTOMETRIC)[0],
            is_planar=numbers(_PLANAR, 1)[0] == 2,
            description=tags.get(_DESCRIPTION, (0, 0, b""))[2].rstrip(b"\0").decode("utf-8", "replace"),
            resolution=self._resolution(tags),
            unit=numbers(_UNIT, 2)[0],
            sub_directories=numbers(_SUB_DIRECTORIES) if _SUB_DIRECTORIES in tags else (),
        )

    def _value(self, tag: int, kind: int, count: int, rest: bytes) -> bytes:
        """The first values of a tag; all of them must lie within the file, which the tile lists are asked for too."""
        n_bytes = _BYTES.get(kind, 1) * count
        inline = 8 if self.big else 4
        if n_bytes <= inline:
            return rest[:n_bytes]
        (place,) = struct.unpack_from(self.order + ("Q" if self.big else "I"), rest)
        is_list = tag in (_TILE_OFFSETS, _TILE_BYTE_COUNTS)
        if place + n_bytes > self.size or (n_bytes > _LARGEST_TAG and not is_list):
            raise ValueError(f"tag {tag} of {n_bytes:,} bytes")
        most = _MOST_TEXT if tag == _DESCRIPTION else _MOST_VALUES * _BYTES.get(kind, 1)
        return self._bytes(place, min(n_bytes, most))

    def _resolution(self, tags: dict[int, tuple[int, int, bytes]]) -> tuple[float, float] | None:
        found: list[float] = []
        for tag in (_X_RESOLUTION, _Y_RESOLUTION):
            kind, count, value = tags.get(tag, (0, 0, b""))
            if kind != _RATIONAL or count != 1:
                return None
            numerator, denominator = struct.unpack(self.order + "II", value)
            if not (numerator and denominator):
                return None
            found.append(numerator / denominator)
        return found[0], found[1]

    def _unpack(self, offset: int, code: str) -> tuple[int, ...]:
        return struct.unpack(self.order + code, self._bytes(offset, struct.calcsize(code)))

    def _bytes(self, offset: int, n_bytes: int) -> bytes:
        if offset + n_bytes > self.size:
            raise ValueError("it lies beyond the end of the file")
        self.file.seek(offset)
        return self.file.read(n_bytes)
