"""The retina: one patient's disc, fovea and vessels, and the plane in which they lie.

The plane of the anatomy: the disc's centre at (0, 0), the fovea at (1, 0.1), so a unit is about 4.5 mm
or 15°. That is a right eye as the camera sees it, mirrored: the disc lies to the right of the fovea in
a right eye's picture, so right eyes are drawn with u to the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom.optics import Array, Pose, grow, lattice, stamp

FOVEA = (1.0, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retina:
    """One eye as it was before any finding; lengths in units of the anatomy's plane."""

    disc: float  # half the disc's height
    oval: float  # its width, of its height
    cup: float  # the cup's diameter, of the disc's
    pigment: float
    choroid: float  # blood of the choroid
    tigroid: float  # how far the choroid's vessels show
    curves: tuple[Array, ...]  # vessels, per generation [n, k, 2]
    radii: tuple[Array, ...]  # [n, k]
    veins: tuple[NDArray[np.bool_], ...]  # [n]
    weave: Array  # lattices for textures
    mottle: Array


def retina(patient: np.random.Generator) -> Retina:
    """A healthy eye; every draw is made whatever is to be shown."""
    disc, oval, cup, pigment, choroid, tigroid = patient.uniform(
        (0.23, 0.86, 0.15, 0.15, 0.5, 0.0), (0.29, 1.0, 0.44, 0.9, 0.9, 0.16)
    ).tolist()
    curves, radii, veins = _vessels(patient, disc)
    return Retina(
        disc=disc,
        oval=oval,
        cup=cup,
        pigment=pigment,
        choroid=choroid,
        tigroid=tigroid,
        curves=curves,
        radii=radii,
        veins=veins,
        weave=lattice(patient),
        mottle=lattice(patient),
    )


def _vessels(
    patient: np.random.Generator, disc: float
) -> tuple[tuple[Array, ...], tuple[Array, ...], tuple[NDArray[np.bool_], ...]]:
    """Arcades, an artery and a vein each, then two generations of side branches that thin out."""
    ends = np.array([[1.0, 0.0], [0.25, 0.95], [1.0, 1.1], [2.1, 0.55]])  # the temporal arcade's Bézier polygon
    nasal = np.array([[0.0, 0.0], [-0.25, 0.4], [-0.7, 0.6], [-1.3, 1.0]])
    ends[0] = 0
    t = np.linspace(0, 1, 32)[:, None, None]
    polygon = np.stack([ends, ends, ends * (1, -1), ends * (1, -1), nasal, nasal, nasal * (1, -1), nasal * (1, -1)])
    vein = np.arange(8) % 2 == 0
    spread = np.linspace(0, 1, 4)[:, None] ** 0.7  # no jitter at the disc
    polygon = polygon + patient.normal(0, 0.11, polygon.shape) * spread
    polygon[:, :, 1] += np.where(vein, -0.07, 0.07)[:, None] * np.sign(polygon[:, 2:3, 1]) * (spread[:, 0] > 0)
    polygon[:, 0] = patient.normal(0, 0.25 * disc, (8, 2))
    a, b, c, d = (polygon[:, i] for i in range(4))
    main = (1 - t) ** 3 * a[None] + 3 * t * (1 - t) ** 2 * b[None] + 3 * t**2 * (1 - t) * c[None] + t**3 * d[None]
    main = main.transpose(1, 0, 2)  # [8, 32, 2]
    wave = np.sin(t[:, 0, 0] * patient.uniform(9, 18, (8, 1)) + patient.uniform(0, 6, (8, 1)))
    main = (main + 0.018 * wave[:, :, None] * np.clip(t[:, :, 0] * 4, 0, 1)).astype(np.float32)
    width = np.where(vein, 0.034, 0.025)[:, None] * np.where(np.arange(8) < 4, 1, 0.75)[:, None]
    radius = (width * (1 - 0.62 * t[:, 0, 0])).astype(np.float32)
    curves, radii, veins = [main], [radius], [vein]
    for branches, length in ((8, 0.75), (3, 0.38)):
        parent, wide = curves[-1], radii[-1]
        n, k = wide.shape
        at = np.sort(patient.integers(k // 6, k - 2, (n, branches)), axis=1)
        row = np.arange(n)[:, None]
        start = parent[row, at].reshape(-1, 2)
        ahead = (parent[row, np.minimum(at + 1, k - 1)] - parent[row, at - 1]).reshape(-1, 2)
        side = np.where((np.arange(branches) + patient.integers(0, 2, (n, 1))) % 2 == 0, 1, -1).reshape(-1)
        heading = np.arctan2(ahead[:, 1], ahead[:, 0]) + side * patient.uniform(0.5, 1.0, n * branches)
        long = length * patient.uniform(0.5, 1.2, n * branches)
        curve, _ = grow(patient, start, heading.astype(np.float32), long.astype(np.float32), 0.9, 12)
        thin = wide[row, at].reshape(-1, 1) * 0.62 * np.linspace(1, 0.4, 12, dtype=np.float32)
        curves.append(curve)
        radii.append(thin.astype(np.float32))
        veins.append(np.repeat(veins[-1], branches))
    return tuple(curves), tuple(radii), tuple(veins)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The retina as the camera sees it: coordinates of each pixel, [S, S], in the anatomy's plane."""

    eye: Retina
    pose: Pose
    u: Array
    v: Array
    rho: Array  # distance from the disc's centre, 1 at its edge

    def spots(
        self, rng: np.random.Generator, u: Array, v: Array, radius: Array, stretch: float = 1.0, ragged: float = 0.5
    ) -> Array:
        """Ragged bodies, each of three ellipses, drawn out along the nerve fibres: depth [S, S], 0…1."""
        n = len(u)
        along = np.arctan2(v, u) + np.sign(v) * np.clip(u, 0, 1) * -0.6  # fibres arch round the fovea
        offset = rng.normal(0, ragged, (3, n, 2)) * radius[:, None]
        cos, sin = np.cos(along), np.sin(along)
        x = u + offset[..., 0] * cos * stretch - offset[..., 1] * sin
        y = v + offset[..., 0] * sin * stretch + offset[..., 1] * cos
        column, row = self.pose.pixels(*(a.ravel().astype(np.float32) for a in (x, y)))
        r = (radius * rng.uniform(0.6, 1.0, (3, n)) * self.pose.scale).astype(np.float32).ravel()
        turn = np.tile((np.pi - along if self.pose.mirror else along) + self.pose.angle, 3).astype(np.float32)
        weight = np.tile(rng.uniform(0.7, 1.0, n), 3).astype(np.float32)
        return stamp(self.pose.size, column, row, r * np.float32(stretch), r, turn, weight)
