"""Colon mucosa: where one patient's crypts, nuclei and goblet cells lie.

A unit of the plane is 100 µm: crypts are about 0.6 wide, nuclei 0.07.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom.optics import Array, Pose, lattice, stamp

CORNERS = 24  # of a gland's outline; also the nuclei of one ring
REACH = 3.2  # the tissue spans [-REACH, REACH]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glands:
    """Closed outlines round centres, seen in cross-section."""

    centre: Array  # [n, 2]
    edge: Array  # [n, CORNERS], distance of the outline from the centre

    def outline(self, part: float | Array = 1.0) -> Array:
        """Outlines shrunk towards their centres to `part` (a number or [n, 1]): [n, CORNERS, 2]."""
        theta = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False, dtype=np.float32)
        ray = np.stack([np.cos(theta), np.sin(theta)], axis=1)
        return np.asarray(self.centre[:, None] + (self.edge * part)[..., None] * ray, np.float32)

    def where(self, keep: NDArray[np.bool_]) -> Glands:
        """Only those that `keep` [n] names."""
        return Glands(centre=self.centre[keep], edge=self.edge[keep])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """Nuclei and other small ellipses: centres [n, 2], half axes, angle of the long axis, weight."""

    at: Array
    long: Array
    short: Array
    angle: Array
    weight: Array

    def where(self, keep: NDArray[np.bool_]) -> Bodies:
        """Only those that `keep` [n] names."""
        return Bodies(**{name: getattr(self, name)[keep] for name in self.__slots__})

    def stamp(self, pose: Pose) -> Array:
        """Their weighted coverage, [S, S]."""
        x, y = pose.pixels(self.at[:, 0], self.at[:, 1])
        angle = (np.pi - self.angle if pose.mirror else self.angle) + pose.angle
        scale = np.float32(pose.scale)
        return stamp(pose.size, x, y, self.long * scale, self.short * scale, angle, self.weight)


def packed(rng: np.random.Generator, step: float, radius: tuple[float, float], uneven: float) -> Glands:
    """Glands on a jittered hexagonal lattice `step` apart, with outlines that stray by `uneven`."""
    line = np.arange(-REACH, REACH, step)
    x, y = (a.ravel() for a in np.meshgrid(line, np.arange(-REACH, REACH, step * 0.87)))
    row = np.round((y + REACH) / (step * 0.87))
    centre = np.stack([x + 0.5 * step * (row % 2), y], axis=1) + rng.normal(0, 0.09 * step, (x.size, 2))
    theta = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    k = np.arange(2, 6)[:, None, None]
    waves = np.cos(k * theta + rng.uniform(0, 2 * np.pi, (4, x.size, 1))) * rng.normal(0, 1, (4, x.size, 1)) / k
    edge = rng.uniform(*radius, (x.size, 1)) * np.clip(1 + uneven * waves.sum(axis=0), 0.45, 1.6)
    return Glands(centre=centre.astype(np.float32), edge=edge.astype(np.float32))


def ring(rng: np.random.Generator, glands: Glands, depth: tuple[float, float], half: float, fat: float) -> Bodies:
    """Nuclei along each outline, pointing to the centre; `depth` as part of the way from centre to edge."""
    n = len(glands.centre)
    at = glands.outline(rng.uniform(*depth, (n, CORNERS)).astype(np.float32)).reshape(-1, 2)
    at = at + rng.normal(0, 0.2 * half, at.shape)
    angle = np.tile(np.linspace(0, 2 * np.pi, CORNERS, endpoint=False), n) + rng.normal(0, 0.25, n * CORNERS)
    long = half * rng.uniform(0.8, 1.25, n * CORNERS)
    weight = rng.uniform(0.7, 1, n * CORNERS)
    return _bodies(at, long, long * fat, angle, weight)


def strewn(rng: np.random.Generator, n: int, half: tuple[float, float], fat: float) -> Bodies:
    """n nuclei anywhere."""
    long = rng.uniform(*half, n)
    return _bodies(
        rng.uniform(-REACH, REACH, (n, 2)), long, long * fat, rng.uniform(0, np.pi, n), rng.uniform(0.7, 1, n)
    )


def _bodies(*columns: NDArray[np.floating]) -> Bodies:
    return Bodies(**dict(zip(Bodies.__slots__, (c.astype(np.float32) for c in columns), strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mucosa:
    """One patient's healthy mucosa, and where a lesion of it lies."""

    crypts: Glands
    nuclei: Bodies  # of the crypts' epithelium
    goblets: Bodies
    stromal: Bodies
    lumen: float  # part of a crypt
    middle: Array  # [2], of the lesion
    radius: float
    weave: Array
    mottle: Array


def mucosa(patient: np.random.Generator) -> Mucosa:
    """Healthy colon mucosa; every draw is made whatever is to be shown."""
    step, full, lumen, radius = patient.uniform((0.7, 0.4, 0.12, 0.75), (0.85, 0.44, 0.3, 1.3)).tolist()
    crypts = packed(patient, step, (0.85 * full * step, full * step), 0.13)
    nuclei = ring(patient, crypts, (0.8, 0.92), 0.05, 0.6)
    goblets = ring(patient, crypts, (0.5, 0.62), 0.055, 0.75)
    goblets = goblets.where(patient.random(len(goblets.at)) < patient.uniform(0.4, 0.8))
    return Mucosa(
        crypts=crypts,
        nuclei=nuclei,
        goblets=goblets,
        stromal=strewn(patient, int(patient.integers(900, 1600)), (0.03, 0.05), 0.6),
        lumen=lumen,
        middle=patient.uniform(-0.45, 0.45, 2).astype(np.float32),
        radius=radius,
        weave=lattice(patient),
        mottle=lattice(patient),
    )
