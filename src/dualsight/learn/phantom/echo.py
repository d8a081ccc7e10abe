"""How an ultrasound scanner turns tissue into a picture: beams, attenuation, speckle, logarithm.

Tissue is given on a grid of beams: each column is one beam, each row one depth. Lengths are in depths of
the picture (0 at the skin, 1 at the bottom); echogenicity is in dB relative to liver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom.physics import to_uint8

Map = NDArray[np.float32]  # [D, B] on beams, [H, W] on pixels

FLUID_DB, FLUID_LOSS = -48.0, -70.0  # fluid attenuates nothing, but the time gain compensates as for tissue


@dataclass(frozen=True, slots=True)
class Probe:
    """A curved array, or with a large radius a linear one.

    radius: of the array, in depths; angle: of the outermost beam, radians; frame: side of the picture.
    """

    radius: float
    angle: float
    frame: float

    def beams(self, size: int) -> tuple[Map, Map]:
        """x and z [D, B] of the samples along the beams."""
        reach = (self.radius + np.linspace(0, 1, size, dtype=np.float32))[:, None]
        angle = np.linspace(-self.angle, self.angle, size, dtype=np.float32)
        return reach * np.sin(angle), np.asarray(reach * np.cos(angle) - self.radius, np.float32)

    def pixels(self, size: int) -> tuple[Map, Map]:
        """Row and column [H, W] on the grid of beams that each pixel shows; outside the sector also < 0."""
        ramp = ((np.arange(size) + 0.5) / size).astype(np.float32) * self.frame
        top = self.radius * (1 - math.cos(self.angle)) + 0.02  # the array's ends lie above its middle
        x, z = ramp - 0.5 * self.frame, (ramp - top)[:, None] + self.radius
        row = (np.sqrt(x * x + z * z) - self.radius) * (size - 1)
        column = (np.arctan2(x, z) / self.angle + 1) * (0.5 * (size - 1))
        return np.asarray(row, np.float32), np.asarray(column, np.float32)


@dataclass(slots=True)
class Tissue:
    """What the beams meet. echo: dB; loss: dB per depth beyond what the time gain compensates."""

    echo: Map
    loss: Map

    def fill(self, region: Map, echo: float | NDArray[np.floating[Any]], loss: float = 0.0) -> None:
        """Lays tissue over what is there; region 0…1."""
        self.echo += region * (echo - self.echo)
        self.loss += region * (loss - self.loss)

    def fluid(self, region: Map) -> None:
        """Lays anechoic fluid over what is there."""
        self.fill(region, FLUID_DB, FLUID_LOSS)


def _gaussian(n: int, sigma: float) -> Map:
    """[N, N] matrix that blurs; rows have unit energy, so that the power of noise stays."""
    i = np.arange(n, dtype=np.float32)
    kernel = np.exp(-0.5 * np.minimum(((i - i[:, None]) / np.float32(sigma)) ** 2, 40))  # denormals are slow
    return np.asarray(kernel / np.sqrt((kernel**2).sum(axis=1, keepdims=True)), np.float32)


def _bilinear(values: Map, row: Map, column: Map) -> Map:
    """Values at fractional positions; 0 outside."""
    height, width = values.shape
    inside = _seen(values.shape, row, column)
    r, c = np.clip(row, 0, height - 1.001), np.clip(column, 0, width - 1.001)
    i, j = r.astype(np.intp), c.astype(np.intp)
    r, c = r - i.astype(np.float32), c - j.astype(np.float32)
    at = i * width + j
    flat = values.ravel()
    above = flat[at] + (flat[at + 1] - flat[at]) * c
    below = flat[at + width] + (flat[at + width + 1] - flat[at + width]) * c
    return np.asarray((above + (below - above) * r) * inside, np.float32)


def _seen(shape: tuple[int, ...], row: Map, column: Map) -> NDArray[np.bool_]:
    return (row >= 0) & (row <= shape[0] - 1) & (column >= 0) & (column <= shape[1] - 1)


def nearest(values: NDArray[np.bool_], row: Map, column: Map) -> NDArray[np.bool_]:
    """A mask on beams [D, B] as a mask on pixels [H, W]."""
    height, width = values.shape
    i, j = np.clip(np.rint(row), 0, height - 1), np.clip(np.rint(column), 0, width - 1)
    return values[i.astype(np.intp), j.astype(np.intp)] & _seen(values.shape, row, column)


def imaged(acquisition: np.random.Generator, tissue: Tissue, row: Map, column: Map) -> NDArray[np.uint8]:
    """Speckle as the envelope of blurred random scatterers, seen through attenuation and time gain."""
    depths, beams = tissue.echo.shape
    depth = np.linspace(0, 1, depths, dtype=np.float32)[:, None]
    lost = np.cumsum(tissue.loss, axis=0, dtype=np.float32) / np.float32(depths)  # dB on the way
    knots = acquisition.normal(0, 2.0, 5)
    gain = np.interp(depth, np.linspace(0, 1, 5), knots).astype(np.float32)  # sliders set by hand
    amplitude = np.exp(np.maximum(tissue.echo - lost, -120) * np.float32(math.log(10) / 20))
    fine = beams / 128
    axial = _gaussian(depths, acquisition.uniform(0.75, 1.1) * fine)
    sharp, dull = acquisition.uniform(0.8, 1.1) * fine, acquisition.uniform(1.5, 2.2) * fine
    focus = acquisition.uniform(0.3, 0.6)
    away = np.clip(np.abs(depth - focus) / 0.5, 0, 1)
    lateral = _gaussian(beams, sharp).T, _gaussian(beams, dull).T
    scatter = acquisition.standard_normal((2, depths, beams), dtype=np.float32) * amplitude
    power = np.zeros_like(amplitude)  # [D, B]
    for part in scatter:  # real and imaginary
        echo = axial @ part
        power += ((1 - away) * (echo @ lateral[0]) + away * (echo @ lateral[1])) ** 2
    compound = acquisition.uniform(0.0, 0.6)  # other angles, averaged: the speckle's mean without its noise
    power = power * (1 - compound) + 2 * compound * (axial**2 @ amplitude**2 @ lateral[0] ** 2)
    noise = 10 ** (acquisition.uniform(-5.2, -4.4) + 1.2 * depth)
    grain = acquisition.standard_exponential((depths, beams), dtype=np.float32)
    level = np.float32(10 / math.log(10)) * np.log(power + noise.astype(np.float32) * grain) + gain
    span, middle = acquisition.uniform(50, 64), acquisition.uniform(0.42, 0.56)
    shown = np.asarray(np.clip(level / span + middle, 0, 1), np.float32)
    return to_uint8(_bilinear(shown, row, column))
