"""A training picture, varied: cropped and resized, changed by one operation of chance, a rectangle erased.

    frame [H, W, 3] ──random_resized_crop──▶ picture ──trivial_augment──▶ normalise ──erase──▶ pixels [3, h, w]

Every draw comes from the generator that is handed in, so that a sample's seed says what happens to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.ImageEnhance import Brightness, Color, Contrast, Sharpness

from dualsight.image.prepare import Preprocessing, normalise
from dualsight.learn.train.recipe import Augmentation

TRIES = 10  # for a rectangle of a drawn shape that fits
BINS = 31  # magnitudes of an operation, from nothing to most
ERASED_AREA = (0.02, 0.33)  # share of the picture (arXiv 1708.04896)
ERASED_RATIO = (0.3, 3.3)

Generator = np.random.Generator


def augment(
    rgb: NDArray[np.uint8], preprocessing: Preprocessing, how: Augmentation, rng: Generator
) -> NDArray[np.float32]:
    """float32 [3, height, width]: what the image encoder sees of uint8 [H, W, 3] in training."""
    picture = random_resized_crop(Image.fromarray(rgb), preprocessing, how, rng)
    if how.trivial:
        picture = trivial_augment(picture, rng)
    pixels = normalise(np.asarray(picture), preprocessing)
    if rng.random() < how.erasing:
        erase(pixels, rng)
    return pixels


def random_resized_crop(
    picture: Image.Image, preprocessing: Preprocessing, how: Augmentation, rng: Generator
) -> Image.Image:
    """A part of random area and shape, resized to the model's size (Inception's crop, arXiv 1409.4842)."""
    width, height = _crop_size(picture.width, picture.height, how, rng)
    left, top = rng.integers(picture.width - width + 1), rng.integers(picture.height - height + 1)
    box = (int(left), int(top), int(left) + width, int(top) + height)
    resample = Image.Resampling[preprocessing.interpolation.upper()]
    return picture.resize((preprocessing.width, preprocessing.height), resample, box=box)


def trivial_augment(picture: Image.Image, rng: Generator) -> Image.Image:
    """One operation of OPERATIONS, at one of 31 strengths (TrivialAugmentWide, arXiv 2103.10158)."""
    operation = OPERATIONS[rng.integers(len(OPERATIONS))]
    strength = float(rng.integers(BINS)) / (BINS - 1)
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return operation(picture, strength, sign)


def erase(pixels: NDArray[np.float32], rng: Generator) -> None:
    """Sets a rectangle of random area and shape to zero, the mean of normalised pixels, in place."""
    height, width = pixels.shape[1:]
    for _ in range(TRIES):
        area = height * width * rng.uniform(*ERASED_AREA)
        ratio = _log_uniform(ERASED_RATIO, rng)
        tall, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < tall < height and 0 < wide < width:
            top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
            pixels[:, top : top + tall, left : left + wide] = 0
            return


def _crop_size(width: int, height: int, how: Augmentation, rng: Generator) -> tuple[int, int]:
    """(width, height) of the part that is kept; where no drawn shape fits, the largest of an allowed one."""
    for _ in range(TRIES):
        area = width * height * rng.uniform(*how.crop_scale)
        ratio = _log_uniform(how.crop_ratio, rng)
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            return wide, tall
    low, high = how.crop_ratio
    if width / height < low:
        return width, max(1, min(height, round(width / low)))
    return max(1, min(width, round(height * high))), height


def _log_uniform(span: tuple[float, float], rng: Generator) -> float:
    return math.exp(rng.uniform(math.log(span[0]), math.log(span[1])))


Operation = Callable[[Image.Image, float, float], Image.Image]
"""(picture, strength in 0…1, sign) → picture."""


def _affine(a: float, b: float, c: float, d: float, e: float, f: float) -> Callable[[Image.Image], Image.Image]:
    """Each new pixel (x, y) is the old one at (ax + by + c, dx + ey + f); black where there is none."""
    return lambda picture: picture.transform(picture.size, Image.Transform.AFFINE, (a, b, c, d, e, f))


def _enhance(kind: type[Brightness | Color | Contrast | Sharpness]) -> Operation:
    return lambda picture, strength, sign: kind(picture).enhance(1 + sign * 0.99 * strength)


OPERATIONS: tuple[Operation, ...] = (
    lambda picture, strength, sign: picture,
    lambda picture, strength, sign: _affine(1, sign * 0.99 * strength, 0, 0, 1, 0)(picture),  # shear along x
    lambda picture, strength, sign: _affine(1, 0, 0, sign * 0.99 * strength, 1, 0)(picture),  # … along y
    lambda picture, strength, sign: _affine(1, 0, sign * 32 * strength, 0, 1, 0)(picture),  # move along x, in pixels
    lambda picture, strength, sign: _affine(1, 0, 0, 0, 1, sign * 32 * strength)(picture),  # … along y
    lambda picture, strength, sign: picture.rotate(sign * 135 * strength),
    _enhance(Brightness),
    _enhance(Color),
    _enhance(Contrast),
    _enhance(Sharpness),
    lambda picture, strength, sign: ImageOps.posterize(picture, 8 - round(6 * strength)),  # bits kept
    lambda picture, strength, sign: ImageOps.solarize(picture, round(255 * (1 - strength))),
    lambda picture, strength, sign: ImageOps.autocontrast(picture),
    lambda picture, strength, sign: ImageOps.equalize(picture),
)
"""The fourteen of TrivialAugmentWide, with its widest ranges."""
