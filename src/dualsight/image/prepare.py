"""Frame → the numbers the image encoder sees: resize, scale to 0…1, normalise.

The bytes after `resize` equal the reference's (PIL, antialiased; aspect ratio not kept unless centre-cropped).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualsight.errors import ConfigError, ImageTooLarge, UnsupportedImage
from dualsight.image.frame import Frame
from dualsight.image.limits import Limits

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_CROP_RATIO = 0.875  # of the shorter side that a centre crop keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How one checkpoint wants its pictures: size in pixels, then mean and standard deviation of 0…1 RGB."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    center_crop: bool = False  # shorter side to size / 0.875, then the centre; otherwise the whole picture
    interpolation: Interpolation = "bicubic"

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ConfigError(f"image size {self.height} × {self.width}: both sides must be positive")
        if self.interpolation not in _FILTERS:
            raise ConfigError(f"interpolation `{self.interpolation}`: one of {', '.join(_FILTERS)}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ConfigError(f"mean {self.mean}, std {self.std}: three each, std above 0")
        if self.center_crop and self.height != self.width:
            raise ConfigError(f"a centre crop is square, and the image size is {self.height} × {self.width}")


def resize(rgb: NDArray[np.uint8], preprocessing: Preprocessing, *, source: str = "image") -> NDArray[np.uint8]:
    """uint8 [height, width, 3] of uint8 [H, W, 3].

    Raises UnsupportedImage for anything else than uint8 [H, W, 3], and ImageTooLarge where a centre crop
    would need an absurd enlargement (a picture a few pixels wide and very long).
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise UnsupportedImage(f"{rgb.dtype} {list(rgb.shape)} is not uint8 [H, W, 3]", source=source)
    if _is_grey(rgb):  # each channel is resized by itself: one for three, and the same bytes
        plane = _resized(Image.fromarray(np.ascontiguousarray(rgb[:, :, 0])), preprocessing, source)
        return np.broadcast_to(plane[:, :, None], (*plane.shape, 3))
    return _resized(Image.fromarray(rgb), preprocessing, source)


def _is_grey(rgb: NDArray[np.uint8]) -> bool:
    """Whether red, green and blue are one; told by the first row where they are not."""
    red, green, blue = rgb.transpose(2, 0, 1)
    return all(np.array_equal(a, b) for a, b in ((red[0], green[0]), (red[0], blue[0]), (red, green), (red, blue)))


def _resized(image: Image.Image, preprocessing: Preprocessing, source: str) -> NDArray[np.uint8]:
    """As `resize`, of [H, W, 3] or [H, W]."""
    resample = _FILTERS[preprocessing.interpolation]
    if not preprocessing.center_crop:
        return np.asarray(image.resize((preprocessing.width, preprocessing.height), resample))
    side = preprocessing.height
    width, height, left, top = crop_geometry(image.width, image.height, side)
    if width * height > Limits().pixels:
        raise ImageTooLarge(
            f"{image.height} × {image.width} pixels are too narrow for a centre crop of {side}", source=source
        )
    enlarged = image.resize((width, height), resample)
    return np.asarray(enlarged.crop((left, top, left + side, top + side)))


def normalise(
    rgb: NDArray[np.uint8], preprocessing: Preprocessing, *, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """float32 [3, h, w] of uint8 [h, w, 3]: (value / 255 − mean) / std for each channel. `out`: where to put it."""
    planes = rgb.transpose(2, 0, 1)  # [3, h, w]
    grey = rgb.strides[2] == 0  # its one channel is divided once, and stands for three
    unit = np.divide(
        planes[:1] if grey else planes, np.float32(255), out=None if grey else out, dtype=np.float32, order="C"
    )  # [1 or 3, h, w]
    mean = np.asarray(preprocessing.mean, np.float32)[:, None, None]
    pixels = np.subtract(unit, mean, out=out if grey else unit)  # [3, h, w]
    pixels /= np.asarray(preprocessing.std, np.float32)[:, None, None]
    return pixels


def normalise_all(
    pictures: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing, room: NDArray[np.float32]
) -> NDArray[np.float32]:
    """float32 [n, 3, h, w] of n pictures [h, w, 3]: the first places of `room`, which has as many or more."""
    places = room[: len(pictures)]
    for picture, place in zip(pictures, places, strict=True):
        normalise(picture, preprocessing, out=place)
    return places


def prepare(frame: Frame, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """float32 [3, height, width]: what the image encoder sees of a frame. Raises as `resize` does."""
    return normalise(resize(frame.pixels, preprocessing, source=frame.source), preprocessing)


def crop_geometry(width: int, height: int, side: int) -> tuple[int, int, int, int]:
    """How a centre crop of that side comes about: width and height that a picture is resized to, left and top of it."""
    width, height = _shorter_side_to(int(side / _CROP_RATIO), width, height)
    return width, height, round((width - side) / 2), round((height - side) / 2)


def _shorter_side_to(target: int, width: int, height: int) -> tuple[int, int]:
    """(width, height) with the shorter side at `target`; the longer one is rounded down."""
    if width <= height:
        return target, int(target * height / width)
    return int(target * width / height), target
