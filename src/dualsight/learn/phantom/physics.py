"""What tomography and projection share: coordinates, shapes, line integrals, textures, noise, position.

Anatomy is drawn on a canvas a little larger than the picture (|x|, |y| ≤ REACH; x to the right, y down),
and `Pose.place` cuts the picture (|x|, |y| ≤ 1) out of it, turned, moved and magnified. Shapes are signed
distances, positive inside. Textures are made of a fixed number of random values whatever the canvas, so
that one patient looks alike at every size. S is the canvas's side, P the picture's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

Map = NDArray[np.floating[Any]]  # [S, S], float32; the stubs take float × float32 for float64

REACH = 1.125


def canvas_side(size: int) -> int:
    """Side S in pixels of the canvas from which a picture of side `size` is cut."""
    return round(size * REACH)


def grid(side: int) -> tuple[Map, Map]:
    """x and y of each pixel's centre, both [S, S]."""
    line = (((np.arange(side) + 0.5) / side * 2 - 1) * REACH).astype(np.float32)
    x, y = np.meshgrid(line, line)
    return x, y


def norm(a: Map, b: Map) -> Map:
    """√(a² + b²); ten times as fast as np.hypot, whose care about overflow nothing here needs."""
    return np.sqrt(a * a + b * b)


def radius(x: Map, y: Map, centre: tuple[float, float], axes: tuple[float, float], angle: float = 0.0) -> Map:
    """Elliptical radius: 0 in the centre, 1 on the ellipse; angle in radians, clockwise as displayed."""
    cos, sin = math.cos(angle), math.sin(angle)
    dx, dy = x - float(centre[0]), y - float(centre[1])
    return norm((dx * cos + dy * sin) / axes[0], (dy * cos - dx * sin) / axes[1])


def ellipse(x: Map, y: Map, centre: tuple[float, float], axes: tuple[float, float], angle: float = 0.0) -> Map:
    """Signed distance to an ellipse, exact for circles."""
    return (1 - radius(x, y, centre, axes, angle)) * (min(axes) ** 0.75 * max(axes) ** 0.25)


def blob(
    rng: np.random.Generator, x: Map, y: Map, centre: tuple[float, float], size: float, rough: float = 0.15
) -> Map:
    """Signed distance to an irregular region: a circle whose radius is disturbed by five harmonics."""
    waves = (rng.standard_normal((5, 2)) * rough / np.arange(1.5, 6.5)[:, None]).astype(np.float32)
    dx, dy = x - float(centre[0]), y - float(centre[1])
    away = norm(dx, dy) + 1e-6
    cos, sin = dx / away, dy / away
    border = np.ones_like(x)
    c, s = cos, sin  # of the angle times 1, 2, …
    for even, odd in waves:
        border += even * c + odd * s
        c, s = c * cos - s * sin, s * cos + c * sin
    return size * border - away


def soft(distance: Map, width: float) -> Map:
    """Membership 0…1 of a shape whose edge is `width` wide."""
    t = np.clip(distance / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def chord(rho: Map, depth: float) -> Map:
    """Length of the ray through an ellipsoid of semi-axis `depth`, by the elliptical radius of the ray."""
    return (2 * depth) * np.sqrt(np.maximum(1 - rho * rho, 0))


def smooth_noise(rng: np.random.Generator, side: int, scale: float) -> Map:
    """Gaussian noise of mean 0 and variance about 1, correlated over the length `scale`."""
    n = int(np.ceil(2 * REACH / scale)) + 5
    knots = (np.arange(n) - (n - 1) / 2).astype(np.float32)
    line = (((np.arange(side) + 0.5) / side * 2 - 1) * (REACH / scale)).astype(np.float32)
    weights = np.exp(-np.square(line[:, None] - knots))  # [S, n]
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return weights @ rng.standard_normal((n, n), dtype=np.float32) @ weights.T


def power_noise(rng: np.random.Generator, side: int, beta: float, coarse: float = 0.6, octaves: int = 5) -> Map:
    """Noise of power spectrum 1 / f^beta, as a sum of octaves from the length `coarse` downwards."""
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        total += (2 ** (-octave * (beta - 2) / 2)) * smooth_noise(rng, side, coarse / 2**octave)
    return total


def strands(side: int, lines: list[NDArray[np.float64]], widths: list[float], values: list[float]) -> Map:
    """Polylines [n, 2] of (x, y) with their widths and values; later ones lie on earlier ones.

    A line thinner than the grid of this drawing is drawn paler instead.
    """
    fine = 2 if side > 96 else 3
    sheet = Image.new("F", (side * fine, side * fine))
    brush = ImageDraw.Draw(sheet)
    scale = side * fine / (2 * REACH)
    for line, width, value in zip(lines, widths, values, strict=True):
        wide = width * scale
        points = ((line + REACH) * scale).ravel().tolist()
        brush.line(points, fill=value * min(1.0, wide), width=max(1, round(wide)), joint="curve" if wide > 4 else None)
    return np.asarray(sheet.reduce(fine), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where the patient lies in the picture."""

    angle: float = 0.0  # radians
    zoom: float = 1.0
    x: float = 0.0
    y: float = 0.0

    def place(self, canvas: Map, size: int) -> Map:
        """The picture [P, P] of a canvas [S, S], interpolated; beyond the canvas its border goes on."""
        return self._sample(canvas, size, 1)

    def place_mask(self, canvas: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
        """The mask [P, P] of a mask on the canvas [S, S]."""
        return self._sample(canvas.view(np.uint8), size, 0).view(np.bool_)

    def _sample(self, canvas: NDArray[Any], size: int, order: int) -> NDArray[Any]:
        side = canvas.shape[0]
        step = side / size / REACH / self.zoom  # canvas pixels per picture pixel
        cos, sin = np.cos(self.angle) * step, np.sin(self.angle) * step
        turn = np.array([[cos, sin], [-sin, cos]])  # in (row, column)
        middle = (size - 1) / 2
        shift = np.array([self.y, self.x]) * size / 2
        offset = (side - 1) / 2 - turn @ (middle + shift)
        return ndimage.affine_transform(canvas, turn, offset, (size, size), order=order, mode="nearest")


def counted(rng: np.random.Generator, expected: Map) -> Map:
    """Counts of quanta where `expected` fall: Poisson noise, in its normal limit (expected over about 20)."""
    noise = rng.standard_normal(expected.shape, dtype=np.float32)
    return np.maximum(expected + np.sqrt(np.maximum(expected, 0)) * noise, 1)


def to_uint8(values: Map) -> NDArray[np.uint8]:
    """Values 0…1 as grey levels; what lies beyond is clipped."""
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
