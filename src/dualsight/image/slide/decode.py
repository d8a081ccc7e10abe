"""Whole-slide images and other TIFF pyramids → the tiles that show tissue, one at a time.

Memory is bounded by the tile: what is held is the file's list of tiles, a few stored tiles, one tile of the result,
and a picture of the whole slide of at most 2048 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType

from dualsight.errors import ConfigError, UnreadableImage, UnsupportedImage
from dualsight.image.frame import Frame, FrameMeta
from dualsight.image.limits import Limits
from dualsight.image.quiet import damage
from dualsight.image.reading import TILE_PX, Reading
from dualsight.image.slide.pyramid import Directory, find_levels
from dualsight.image.slide.resolution import mpp_of
from dualsight.image.slide.tile_grid import Box, TileGrid
from dualsight.image.slide.tiles import Pixels, StoredTiles, check_readable
from dualsight.image.slide.tissue import Mask, find_tissue

MIN_TISSUE = 0.1  # of a tile's area
_OVERVIEW_PX = 2048  # the longer side of the picture in which tissue is looked for, at most
_SAME = 0.01  # scales that differ by less are one: levels are rounded to whole pixels, and mpp to four digits
_MOST_GRID = 1 << 22  # tiles, with tissue or without
_FINER = 0.1  # by how much a tile may be enlarged


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One resolution of a slide. downsample: pixels of level 0 to one of its own; mpp: micrometres, if known."""

    width: int
    height: int
    downsample: float
    mpp: float | None
    directory: Directory = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Slide:
    """A slide in a file, not held open. levels: from the finest. mpp: level 0's micrometres to a pixel, if known."""

    path: Path = field(repr=False)
    source: str
    format: str
    levels: tuple[Level, ...]
    limits: Limits = field(repr=False)

    @property
    def mpp(self) -> float | None:
        """Micrometres to a pixel of level 0; None if the file does not say."""
        return self.levels[0].mpp

    @property
    def n_levels(self) -> int:
        """How many resolutions are stored."""
        return len(self.levels)

    @cached_property
    def overview(self) -> Pixels:
        """The whole slide, uint8 [h, w, 3], its longer side at most 2048, and never over the limit of pixels.

        Of the coarsest level that has half of that, else of the finest; without such a level all is decoded once.
        Raises UnreadableImage.
        """
        rich = [level for level in self.levels if 2 * max(level.width, level.height) >= _OVERVIEW_PX]
        level = rich[-1] if rich else self.levels[0]
        too_many = level.width * level.height / self.limits.pixels
        shrink = max(1.0, max(level.width, level.height) / _OVERVIEW_PX, math.sqrt(too_many) * (1 + _SAME))
        width, height = (max(1, round(side / shrink)) for side in (level.width, level.height))
        whole = Box(0, 0, level.width, level.height)
        with self._stored(level) as stored, damage(self.source, "its overview cannot be read"):
            return stored.resized(whole, width, height)

    def tissue_mask(self) -> Mask:
        """True where there is tissue, bool [h, w], as large as `overview`; see `tissue.find_tissue`."""
        return find_tissue(self.overview, is_grey=self.levels[0].directory.samples == 1)

    def tiles(
        self,
        size_px: int = TILE_PX,
        *,
        mpp: float | None = None,
        level: int | None = None,
        overlap: int = 0,
        min_tissue: float = MIN_TISSUE,
    ) -> Iterator[Frame]:
        """The tiles that show tissue, row by row.

        size_px: a tile's side. Tiles at the right and lower edge are moved back to end there; a slide smaller than a
            tile gives one of its own size.
        mpp: micrometres to a pixel of the tiles, made of the coarsest level that is fine enough.
        level: a stored level instead, as it is; without both, level 0.
        overlap: pixels that neighbours share.
        min_tissue: the part of a tile, 0…1, that must be tissue by the mask. 0 gives every tile, and asks no mask.

        Each frame's meta has `tile_origin`, its upper left corner (x, y) in pixels of level 0; rows and columns, the
        pixels of level 0 that it shows; spacing_mm of its own pixels. `frame_index` counts the tiles given.
        Raises ConfigError for what cannot be meant; UnsupportedImage for mpp of a slide that does not know its own,
        or finer than that; UnreadableImage where no tile has tissue, or one is damaged; ImageTooLarge.
        """
        if size_px < 1 or not 0 <= overlap < size_px:
            raise ConfigError(f"tiles of {size_px} pixels cannot overlap by {overlap}")
        if not 0 <= min_tissue <= 1:
            raise ConfigError("min_tissue is a part, from 0 to 1")
        if mpp is not None and (level is not None or not (math.isfinite(mpp) and mpp > 0)):
            raise ConfigError("mpp must be a positive number, and given without level")
        if level is not None and not 0 <= level < self.n_levels:
            raise ConfigError(f"no level {level}: there are {self.n_levels}, from 0")
        self.limits.check_size(size_px, size_px, source=self.source)
        chosen, scale = self._scale(mpp, level or 0)
        ratio = scale / chosen.downsample
        width, height = (max(1, round(side / ratio)) for side in (chosen.width, chosen.height))
        grid = TileGrid(width=width, height=height, size=size_px, step=size_px - overlap, scale=scale)
        return self._tiles(chosen, grid, min_tissue)

    def _scale(self, mpp: float | None, level: int) -> tuple[Level, float]:
        """The level to read, and how many pixels of level 0 make one of a tile."""
        if mpp is None:
            return self.levels[level], self.levels[level].downsample
        if self.mpp is None:
            hint = "leave mpp out: tiles are then as finely sampled as the slide"
            raise UnsupportedImage("the slide does not say how large its pixels are", source=self.source, hint=hint)
        scale = mpp / self.mpp
        if scale < 1 - _FINER:
            problem = f"scanned at {self.mpp:g} micrometres a pixel, {mpp:g} would have to be made up"
            raise UnsupportedImage(problem, source=self.source)
        fine = [level for level in self.levels if level.downsample <= scale * (1 + _SAME)] or [self.levels[0]]
        same = abs(scale / fine[-1].downsample - 1) <= _SAME
        return fine[-1], fine[-1].downsample if same else scale

    def _tiles(self, level: Level, grid: TileGrid, min_tissue: float) -> Iterator[Frame]:
        wanted = None
        if min_tissue > 0 and grid.n <= _MOST_GRID:  # more are not even looked at
            wanted = self._with_tissue(grid, min_tissue)
        n_frames = grid.n if wanted is None else len(wanted)
        self.limits.check_size(1, 1, n_frames, source=self.source)
        mpp = None if self.mpp is None else self.mpp * grid.scale
        with self._stored(level) as stored:
            for index, box in enumerate(grid.boxes() if wanted is None else wanted):
                shown = box.scaled(grid.scale).within(self.levels[0].width, self.levels[0].height)
                part = box.scaled(grid.scale / level.downsample).within(level.width, level.height)
                with damage(self.source, f"the tile at {shown.x}, {shown.y} cannot be read", index):
                    pixels = stored.resized(part, box.width, box.height)
                meta = FrameMeta(
                    format=self.format,
                    rows=shown.height,
                    columns=shown.width,
                    bits=8,
                    spacing_mm=None if mpp is None else (mpp / 1000, mpp / 1000),
                    tile_origin=(shown.x, shown.y),
                )
                yield Frame(pixels=pixels, source=self.source, frame_index=index, n_frames=n_frames, meta=meta)

    def _with_tissue(self, grid: TileGrid, min_tissue: float) -> list[Box]:
        mask = self.tissue_mask()
        boxes = list(grid.with_tissue(mask, min_tissue))
        if not boxes:
            problem = f"no tile is at least {min_tissue:.0%} tissue" if mask.any() else "no tissue found"
            hint = "Slide.tiles(min_tissue=0) gives every tile, tissue or not"
            raise UnreadableImage(problem, source=self.source, hint=hint)
        return boxes

    @contextmanager
    def _stored(self, level: Level) -> Generator[StoredTiles, None, None]:
        tifffile = _tifffile(self.source)
        with ExitStack() as opened:
            with damage(self.source, "the slide is damaged"):
                flags = {"is_lsm": False, "is_scanimage": False, "is_ndpi": False}  # none of them has pyramids' tiles
                file = opened.enter_context(tifffile.TiffFile(self.path, **flags))
                stored = StoredTiles(file, level.directory, self.source)
            yield stored


def open_slide(path: str | Path, source: str | None = None, *, limits: Limits | None = None) -> Slide:
    """The slide in a TIFF or SVS file; no pixel is decoded.

    Raises UnsupportedImage for a file that is no TIFF pyramid, without tifffile and imagecodecs, and for
    a layout or codec that is not read; UnreadableImage if its directories are damaged; ImageTooLarge for tiles over
    the limit. The limits on a file's bytes and on all its pixels are not asked.
    """
    path, source, limits = Path(path), source or str(path), limits or Limits()
    try:
        with path.open("rb") as file:
            is_tiff = file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
            levels = find_levels(file, limits=limits, source=source) if is_tiff else ()
    except OSError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror})", source=source) from error
    if not levels:
        raise UnsupportedImage("not a tiled TIFF of several resolutions", source=source)
    return _slide(path, source, levels, limits)


def decode_slide(path: Path, source: str, levels: tuple[Directory, ...], reading: Reading) -> Iterator[Frame]:
    """The tissue tiles of a slide whose levels are known. Raises as `open_slide` and `Slide.tiles` do."""
    slide = _slide(path, source, levels, reading.limits)
    yield from slide.tiles(reading.tile_px, mpp=reading.mpp)


def _slide(path: Path, source: str, directories: tuple[Directory, ...], limits: Limits) -> Slide:
    _tifffile(source)
    base = directories[0]
    mpp = mpp_of(base)
    levels: list[Level] = []
    for directory in directories:
        check_readable(directory, limits=limits, source=source)
        downsample = (base.width / directory.width + base.height / directory.height) / 2
        levels.append(
            Level(
                width=directory.width,
                height=directory.height,
                downsample=downsample,
                mpp=None if mpp is None else mpp * downsample,
                directory=directory,
            )
        )
    return Slide(
        path=path, source=source, format="SVS" if base.is_aperio else "TIFF", levels=tuple(levels), limits=limits
    )


def _tifffile(source: str) -> ModuleType:
    """Raises UnsupportedImage if the libraries that read slides are not installed: other files go on without them."""
    try:
        import_module("imagecodecs")  # tifffile reads few files without it, and says so late
        return import_module("tifffile")
    except ImportError:
        hint = "pip install 'dualsight[slide]'"
        problem = "a slide, which needs tifffile and imagecodecs, and they are not installed"
        raise UnsupportedImage(problem, source=source, hint=hint) from None
