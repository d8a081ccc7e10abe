"""The stored tiles of a slide's level → regions of it as RGB. tifffile reads and decodes one tile at a time."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.colour import ybr_full_to_rgb
from dualsight.image.dicom.codestream import is_complete, read_codestream
from dualsight.image.limits import Limits
from dualsight.image.slide.pyramid import Directory
from dualsight.image.slide.tile_grid import Box

if TYPE_CHECKING:
    from tifffile import TiffFile

Pixels = NDArray[np.uint8]  # [H, W, 3]

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YBR = 0, 1, 2, 6
_JPEG, _APERIO_YBR = 7, 33003
_JPEG_2000 = {_APERIO_YBR, 33004, 33005, 34712}
# TIFF's number → the codec's name, and imagecodecs' for it
_CODECS = {
    1: ("none", None),
    5: ("LZW", "LZW"),
    _JPEG: ("JPEG", "JPEG8"),
    8: ("deflate", "DEFLATE"),
    32946: ("deflate", "DEFLATE"),
    32773: ("PackBits", "PACKBITS"),
    **dict.fromkeys(_JPEG_2000, ("JPEG 2000", "JPEG2K")),
    34925: ("LZMA", "LZMA"),
    50000: ("Zstandard", "ZSTD"),
}
_OTHERS = {6: "old-style JPEG", 22610: "JPEG XR", 34934: "JPEG XR", 34887: "LERC", 50001: "WebP", 50002: "JPEG XL"}
_KEPT_BYTES = 1 << 25  # of decoded tiles, for the neighbour that needs them too
_CHUNK = 1024  # pixels squared that are averaged at a time


def check_readable(level: Directory, *, limits: Limits, source: str) -> None:
    """Raises UnsupportedImage for a layout or codec that is not read, ImageTooLarge for tiles over the limit."""
    samples = {_WHITE_IS_ZERO: (1,), _BLACK_IS_ZERO: (1,), _RGB: (3, 4), _YBR: (3,)}.get(level.photometric, ())
    if set(level.bits) != {8} or level.samples not in samples or level.is_planar:
        problem = (
            f"a slide of {level.samples} samples of {max(level.bits)} bits"
            f"{', each in its own plane' if level.is_planar else ''}, photometric interpretation {level.photometric}"
        )
        raise UnsupportedImage(problem, source=source, hint="read are 8-bit grey and RGB slides, pixel by pixel")
    limits.check_size(level.tile_height, level.tile_width, source=source)
    name, codec = _CODECS.get(level.compression, (_OTHERS.get(level.compression, str(level.compression)), ""))
    if codec == "" or (level.photometric == _YBR and level.compression not in {_JPEG, *_JPEG_2000}):
        raise UnsupportedImage(
            f"a slide compressed as {name}, which is not read",
            source=source,
            hint="read are JPEG, JPEG 2000, deflate, LZW, PackBits, LZMA, Zstandard and none",
        )
    if codec is not None and not _is_available(codec):
        raise UnsupportedImage(f"imagecodecs was built without {name}", source=source, hint="install another build")


def _is_available(codec: str) -> bool:
    import imagecodecs

    return bool(getattr(imagecodecs, codec).available)


class StoredTiles:
    """Regions of one level. Holds the file's list of tiles and the last few tiles decoded, never more."""

    def __init__(self, file: TiffFile, level: Directory, source: str) -> None:
        from tifffile import TiffPage

        file.filehandle.seek(level.offset)
        self.level = level
        self.source = source
        self.page = TiffPage(file, index=0)
        self.file = file.filehandle
        self.across = -(-level.width // level.tile_width)
        self._kept: OrderedDict[int, Pixels] = OrderedDict()
        self._n_kept = max(1, _KEPT_BYTES // (level.tile_width * level.tile_height * 3))

    def region(self, box: Box) -> Pixels:
        """uint8 [height, width, 3] of a box inside the level. Raises UnreadableImage for a tile that is damaged."""
        tile_width, tile_height = self.level.tile_width, self.level.tile_height
        pixels = np.empty((box.height, box.width, 3), np.uint8)
        for row in range(box.y // tile_height, -(-(box.y + box.height) // tile_height)):
            for column in range(box.x // tile_width, -(-(box.x + box.width) // tile_width)):
                tile = self._tile(row * self.across + column)
                left, top = column * tile_width - box.x, row * tile_height - box.y  # of the tile, seen from the box
                part = tile[max(-top, 0) : box.height - top, max(-left, 0) : box.width - left]
                y, x = max(top, 0), max(left, 0)
                pixels[y : y + part.shape[0], x : x + part.shape[1]] = part
        return pixels

    def resized(self, box: Box, width: int, height: int) -> Pixels:
        """uint8 [height, width, 3] of a box: averaged by the whole part of the ratio, the rest bilinearly.

        No more than a part of 1024 pixels squared (or what gives one pixel) is held beside the result.
        """
        shrink = max(1, min(box.width // width, box.height // height))
        pixels = self.region(box) if shrink == 1 else self._averaged(box, shrink)
        if pixels.shape[:2] == (height, width) and not (box.width % shrink or box.height % shrink):
            return pixels
        whole = (0.0, 0.0, box.width / shrink, box.height / shrink)
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, whole))

    def _averaged(self, box: Box, shrink: int) -> Pixels:
        step = shrink * max(1, _CHUNK // shrink)
        pixels = np.empty((-(-box.height // shrink), -(-box.width // shrink), 3), np.uint8)
        for y in range(0, box.height, step):
            for x in range(0, box.width, step):
                part = Box(box.x + x, box.y + y, min(step, box.width - x), min(step, box.height - y))
                small = np.asarray(Image.fromarray(self.region(part)).reduce(shrink))
                top, left = y // shrink, x // shrink
                pixels[top : top + small.shape[0], left : left + small.shape[1]] = small
        return pixels

    def _tile(self, index: int) -> Pixels:
        if index in self._kept:
            self._kept.move_to_end(index)
        else:
            while len(self._kept) >= self._n_kept:
                self._kept.popitem(last=False)
            self._kept[index] = self._decoded(index)
        return self._kept[index]

    def _decoded(self, index: int) -> Pixels:
        """uint8 [tile_height, tile_width, 3]; white where the file stores no tile, as scanners leave out glass."""
        level = self.level
        offset, n_bytes = int(self.page.dataoffsets[index]), int(self.page.databytecounts[index])
        if n_bytes == 0:
            return np.full((level.tile_height, level.tile_width, 3), 255, np.uint8)
        if n_bytes > 4 * level.tile_width * level.tile_height * level.samples + (1 << 16):
            raise UnreadableImage(f"damaged: tile {index:,} of {n_bytes:,} bytes", source=self.source)
        self.file.seek(offset)
        data = self.file.read(n_bytes)
        if len(data) != n_bytes:
            raise UnreadableImage(f"truncated: tile {index:,} is beyond the end of the file", source=self.source)
        self._check_stream(data, index)
        values, _, _ = self.page.decode(data, index, jpegtables=self.page.jpegtables)
        return self._rgb(values, index)

    def _check_stream(self, data: bytes, index: int) -> None:
        """What a JPEG or JPEG 2000 stream says of its own size, before a decoder allocates it."""
        if self.level.compression not in {_JPEG, *_JPEG_2000}:
            return
        level, stream = self.level, read_codestream(data)
        if stream is None or not (
            stream.is_sane
            and stream.rows <= level.tile_height
            and stream.columns <= level.tile_width
            and stream.samples == level.samples
        ):
            raise UnreadableImage(f"damaged: tile {index:,} is not what its level says", source=self.source)
        if not is_complete(data):
            raise UnreadableImage(f"truncated: tile {index:,} has no end", source=self.source)

    def _rgb(self, values: Any, index: int) -> Pixels:
        level = self.level
        if values is None or values.dtype != np.uint8 or values.shape[-1] != level.samples:
            raise UnreadableImage(f"damaged: tile {index:,} is not what its level says", source=self.source)
        tile = values[0]
        if level.compression == _APERIO_YBR:
            tile = ybr_full_to_rgb(tile, 8)
        if level.photometric == _WHITE_IS_ZERO:
            tile = 255 - tile
        if level.samples == 4:  # what is transparent was not scanned
            alpha = tile[..., 3:].astype(np.float32) / 255
            tile = np.rint(tile[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
        if tile.shape[:2] != (level.tile_height, level.tile_width):  # some writers cut the last ones to the level
            beyond = [(0, level.tile_height - tile.shape[0]), (0, level.tile_width - tile.shape[1]), (0, 0)]
            tile = np.pad(tile, beyond, constant_values=255)
        return np.repeat(tile, 3, axis=2) if level.samples == 1 else tile
