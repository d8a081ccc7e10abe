"""Colour photographs of tissue: where the camera stands, what it adds, and how fine things are drawn.

Anatomy lives in a plane of its own, (u, v), which a `Pose` maps to the picture; textures, curves and
small bodies are functions of that plane, so that they stay with the patient when the camera moves.
S is the picture's side; light is linear and 1 is white.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

Array = NDArray[np.floating]  # float32 wherever it is as large as the picture


def rgb(red: float, green: float, blue: float) -> Array:
    """A colour, or an absorption per channel, [3, 1, 1]: times a map [S, S] it gives light [3, S, S]."""
    return np.array([red, green, blue], np.float32).reshape(3, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where the camera stands: the picture spans [-reach, reach] of the anatomy's plane, turned and moved."""

    size: int  # side of the picture, px
    reach: float  # half the picture's side, in units of the anatomy's plane
    angle: float = 0.0  # rad
    u: float = 0.0  # the anatomy's point in the picture's centre
    v: float = 0.0
    mirror: bool = False  # u to the left instead of to the right

    @property
    def scale(self) -> float:
        """Pixels per unit of the anatomy's plane."""
        return self.size / (2 * self.reach)

    def plane(self) -> tuple[Array, Array]:
        """The anatomy's coordinates u and v of each pixel centre: two [S, S]."""
        line = ((np.arange(self.size, dtype=np.float32) + 0.5) / self.size * 2 - 1) * self.reach
        x, y = np.meshgrid(line, line)
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        turned = cos * x + sin * y
        return (-turned if self.mirror else turned) + np.float32(self.u), cos * y - sin * x + np.float32(self.v)

    def pixels(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Column and row of points of the anatomy's plane, in pixels, 0 being the first pixel's centre."""
        du = (self.u - u) if self.mirror else (u - self.u)
        dv = v - self.v
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        half = np.float32(self.size / 2 - 0.5)
        return (cos * du - sin * dv) * self.scale + half, (sin * du + cos * dv) * self.scale + half


def lattice(generator: np.random.Generator, n: int = 64) -> Array:
    """Random values [n, n], mean 0 and deviation 1, for `texture`."""
    return generator.standard_normal((n, n), dtype=np.float32)


def texture(values: Array, u: Array, v: Array, frequency: float, octaves: int = 1) -> Array:
    """Smooth noise at (u, v): about `frequency` bumps per unit; further octaves at half the amplitude.

    The lattice [n, n], n a power of two, repeats itself after n / frequency units. Returns the shape
    of u; deviation about 0.6.
    """
    n = len(values)
    flat = np.pad(values, (0, 1), mode="wrap").ravel()
    total = np.zeros(u.shape, np.float32)
    for octave in range(octaves):
        f, shift = np.float32(frequency * 2**octave), np.float32(19.3 * octave)
        x, y = u * f + shift, v * f + shift
        column, row = np.floor(x), np.floor(y)
        x, y = x - column, y - row
        x, y = x * x * (3 - 2 * x), y * y * (3 - 2 * y)
        corner = (row.astype(np.int64) & (n - 1)) * (n + 1) + (column.astype(np.int64) & (n - 1))
        upper, lower = flat.take(corner), flat.take(corner + (n + 1))
        upper += x * (flat.take(corner + 1) - upper)
        lower += x * (flat.take(corner + (n + 2)) - lower)
        total += (upper + y * (lower - upper)) * np.float32(0.5**octave)
    return total


def smoothstep(low: float, high: float, x: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between; falls instead where low > high."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def stamp(size: int, x: Array, y: Array, long: Array, short: Array, angle: Array, weight: Array) -> Array:
    """The greatest weighted coverage of many small ellipses, [S, S].

    x, y: centres, px, [n]; long, short: half axes, px; angle of the long axis, rad; weight ≥ 0.
    Edges are one pixel soft, and a body thinner than a pixel covers in proportion to its width.
    """
    margin = int(np.ceil(float(long.max(initial=0)))) + 1
    wide = size + 4 * margin + 1  # canvas with room for whatever touches the picture
    canvas = np.zeros(wide * wide, np.float32)
    near = (x > -margin) & (x < size + margin) & (y > -margin) & (y < size + margin)
    x, y, long, short, angle, weight = (a[near, None].astype(np.float32) for a in (x, y, long, short, angle, weight))
    dy, dx = (a.reshape(1, -1) for a in np.mgrid[-margin : margin + 1, -margin : margin + 1].astype(np.float32))
    column, row = np.rint(x), np.rint(y)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = column - x, row - y
    rho = (cos / long) * dx + ((sin / long) * dy + (cos * x + sin * y) / long)  # [n, window], along
    across = (cos / short) * dy - ((sin / short) * dx - (cos * y - sin * x) / short)
    rho *= rho
    across *= across
    rho += across
    np.sqrt(rho, out=rho)
    coverage = np.clip((short + np.float32(0.5)) - short * rho, 0, 1, out=rho)
    coverage *= weight * np.minimum(1, 2 * short)
    window = (dy * wide + dx).astype(np.int64)
    index = ((row + 2 * margin) * wide + column + 2 * margin).astype(np.int64) + window
    np.maximum.at(canvas, index.ravel(), coverage.ravel())
    return canvas.reshape(wide, wide)[2 * margin : 2 * margin + size, 2 * margin : 2 * margin + size]


def ribbons(pose: Pose, curves: Array, radius: Array, weight: Array) -> Array:
    """Curves [n, k, 2] of the anatomy's plane, of half width [n, k] in its units and weight [n], 0…1: [S, S].

    Later curves lie on earlier ones. A ribbon thinner than half a pixel is drawn paler instead.
    """
    x, y = pose.pixels(curves[..., 0], curves[..., 1])  # [n, k]
    half = radius * np.float32(pose.scale)
    heading = np.arctan2(np.gradient(y, axis=1), np.gradient(x, axis=1))
    least = np.float32(0.25)
    shade = weight * np.minimum(1, half.mean(axis=1) / least)
    half = np.maximum(half, least)
    across, down = -np.sin(heading) * half, np.cos(heading) * half
    left = np.stack([x + across, y + down], axis=2)
    right = np.stack([x - across, y - down], axis=2)[:, ::-1]
    return _paint(pose.size, np.concatenate([left, right], axis=1), shade)


def patches(pose: Pose, outlines: Array, weight: Array) -> Array:
    """Filled outlines [n, k, 2] of the anatomy's plane with weight [n], 0…1; later on earlier: [S, S]."""
    return _paint(pose.size, np.stack(pose.pixels(outlines[..., 0], outlines[..., 1]), axis=2), weight)


def _paint(size: int, outlines: Array, weight: Array) -> Array:
    """Polygons [n, k, 2] in pixels, drawn finer and averaged, so that edges are smooth: [S, S]."""
    fine = 3 if size <= 192 else 2
    low, high = outlines.min(axis=1), outlines.max(axis=1)  # [n, 2]
    inside = (high > -1).all(axis=1) & (low < size).all(axis=1)
    corners = ((outlines[inside] + np.float32(0.5)) * fine - np.float32(0.5)).reshape(-1, 2 * outlines.shape[1])
    canvas = Image.new("L", (size * fine, size * fine))
    brush = ImageDraw.Draw(canvas)
    for points, grey in zip(corners.tolist(), (weight[inside] * 255).tolist(), strict=True):
        brush.polygon(points, fill=int(grey))
    return np.asarray(canvas.reduce(fine), np.float32) / np.float32(255)


def grow(
    generator: np.random.Generator, start: Array, heading: Array, length: Array, bend: float, steps: int
) -> tuple[Array, Array]:
    """Wandering curves from start [n, 2]: points [n, steps, 2] and headings [n, steps].

    bend: deviation of the turn over the whole length, rad: half of it a steady curve, half a wander.
    """
    n = len(heading)
    steady = generator.standard_normal((n, 1), dtype=np.float32) * np.linspace(0, 1, steps, dtype=np.float32)
    wander = np.cumsum(generator.standard_normal((n, steps), dtype=np.float32), axis=1) / np.sqrt(steps)
    headings = heading[:, None] + bend * (0.5 * steady + 0.5 * wander)
    step = np.stack([np.cos(headings), np.sin(headings)], axis=2) * (length / steps)[:, None, None]
    step[:, 0] = 0
    return (start[:, None] + np.cumsum(step, axis=1)).astype(np.float32), headings.astype(np.float32)


def develop(
    light: Array, acquisition: np.random.Generator, *, blur: float = 0.6, noise: float = 0.012, tint: float = 0.06
) -> NDArray[np.uint8]:
    """The picture a camera makes of light [3, S, S]: focus, exposure, colour balance, noise; uint8 [S, S, 3].

    blur: the greatest deviation of the focus, px at S = 128; noise: the greatest, of full scale;
    tint: the deviation of each channel's gain.
    """
    size = light.shape[-1]
    sigma = acquisition.uniform(0.25, 1) * blur * size / 128
    gain = rgb(*(acquisition.uniform(0.78, 1.05) * np.exp(acquisition.normal(0, tint, 3))))
    grain = np.float32(acquisition.uniform(0.2, 1) * noise)
    seen = ndimage.gaussian_filter(np.asarray(light, np.float32), (0, sigma, sigma), truncate=3)
    shown = np.sqrt(np.clip(gain * seen, 0, 1))  # display gamma, about 2
    shown += grain * acquisition.standard_normal(light.shape, dtype=np.float32)
    return np.ascontiguousarray((np.clip(shown, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))
