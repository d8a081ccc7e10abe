"""Dermoscopy: light through the epidermis, which melanin stains, to the dermis, which blood stains.

The plane of the anatomy: the lesion's centre at (0, 0), and a unit is about 3 mm. Absorption is Beer and
Lambert's law per channel. Melanin at the epidermis looks brown to black; deep in the dermis it looks
blue, because what lies above it scatters blue light back (the Tyndall effect).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dualsight.learn.phantom.base import Drawing, Modality
from dualsight.learn.phantom.optics import (
    Array,
    Pose,
    develop,
    grow,
    lattice,
    rgb,
    ribbons,
    smoothstep,
    stamp,
    texture,
)
from dualsight.learn.phantom.physics import norm

DERMIS = rgb(0.92, 0.76, 0.66)
MELANIN = rgb(0.55, 1.10, 1.55)  # absorption per unit of pigment: R, G, B
BLOOD = rgb(0.12, 1.25, 1.05)
DEEP = rgb(0.15, 0.19, 0.27)  # what returns from above dermal melanin
KERATIN = rgb(0.95, 0.88, 0.70)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skin:
    """One patient's skin, and the shape that a lesion of it takes."""

    melanin: float
    blood: float
    lines: float  # depth of the skin's furrows
    radius: float  # of a lesion, in units of the plane
    oval: float
    turn: float
    phases: Array  # [7], of the outline's harmonics
    weights: Array  # [7]
    weave: Array  # lattices for textures
    mottle: Array


def skin(patient: np.random.Generator) -> Skin:
    """Healthy skin; every draw is made whatever is to be shown."""
    melanin, blood, lines, radius, oval, turn = patient.uniform(
        (0.05, 0.12, 0.05, 0.6, 0.7, 0), (0.45, 0.35, 0.2, 1.05, 1.0, np.pi)
    ).tolist()
    return Skin(
        melanin=melanin,
        blood=blood,
        lines=lines,
        radius=radius,
        oval=oval,
        turn=turn,
        phases=patient.uniform(0, 2 * np.pi, 7).astype(np.float32),
        weights=patient.normal(0, 1, 7).astype(np.float32),
        weave=lattice(patient),
        mottle=lattice(patient),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The skin as the dermatoscope sees it: coordinates of each pixel, [S, S], in the anatomy's plane."""

    skin: Skin
    pose: Pose
    u: Array
    v: Array

    def outline(self, uneven: float) -> Array:
        """Distance from the lesion's centre, [S, S], 1 at its edge; `uneven` sets how far that strays."""
        cos, sin = np.float32(np.cos(self.skin.turn)), np.float32(np.sin(self.skin.turn))
        x = (cos * self.u + sin * self.v).astype(np.float32)
        y = ((cos * self.v - sin * self.u) / self.skin.oval).astype(np.float32)
        theta = np.arctan2(y, x)
        edge = np.ones_like(theta)
        for k, (phase, weight) in enumerate(zip(self.skin.phases, self.skin.weights, strict=True), start=2):
            edge += np.float32(uneven / k**0.6 * weight) * np.cos(k * theta + phase)
        return norm(x, y) / (np.maximum(edge, np.float32(0.45)) * np.float32(self.skin.radius))

    def network(self, rng: np.random.Generator, frequency: float) -> Array:
        """The rete ridges seen from above, [S, S]: 1 on the honeycomb's walls, 0 in its holes."""
        turn = rng.uniform(0, np.pi)
        warp = 0.35 / frequency
        x = self.u + np.float32(warp) * texture(self.skin.mottle, self.u, self.v, 2.5)
        y = self.v + np.float32(warp) * texture(self.skin.weave, self.u, self.v, 2.5)
        total = np.zeros_like(x)
        for k in range(3):
            a = turn + k * np.pi / 3
            wave = np.float32(2 * np.pi * frequency)
            total += np.cos(wave * (np.float32(np.cos(a)) * x + np.float32(np.sin(a)) * y))
        return smoothstep(0.9, -1.2, total)  # three waves at 60° peak on a hexagonal lattice

    def spots(self, rng: np.random.Generator, u: Array, v: Array, radius: Array, oval: float = 1.0) -> Array:
        """Round to oval bodies: coverage [S, S], 0…1."""
        x, y = self.pose.pixels(u, v)
        r = radius * self.pose.scale
        return stamp(self.pose.size, x, y, r, r * oval, rng.uniform(0, np.pi, len(u)), rng.uniform(0.75, 1, len(u)))

    def scatter(self, rng: np.random.Generator, n: int, reach: float) -> tuple[Array, Array]:
        """n points spread over the lesion, out to `reach` of its radius."""
        far, turn = np.sqrt(rng.random(n)) * reach * self.skin.radius, rng.uniform(0, 2 * np.pi, n)
        x, y = far * np.cos(turn), far * np.sin(turn) * self.skin.oval
        cos, sin = np.cos(self.skin.turn), np.sin(self.skin.turn)
        return (cos * x - sin * y).astype(np.float32), (sin * x + cos * y).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """What a finding adds to healthy skin: pigments and coverages [S, S]; None where it adds nothing."""

    mask: NDArray[np.bool_]
    melanin: Array | None = None  # epidermal
    blood: Array | None = None
    deep: Array | None = None  # cover of dermal melanin, blue
    keratin: Array | None = None  # cover, pale yellow
    bleach: Array | None = None  # cover of what hides the skin's own pigment


def _nevus(rng: np.random.Generator, scene: Scene) -> Lesion:
    """A naevus: round, symmetric, one brown, with an even network that thins out at the edge."""
    rho = scene.outline(0.03)
    depth = float(rng.uniform(0.7, 1.4))
    body = smoothstep(1.08, 0.7, rho)
    mesh = scene.network(rng, float(rng.uniform(5.0, 8.0)))
    melanin = depth * body * (0.75 + float(rng.uniform(0.2, 0.7)) * mesh + 0.4 * smoothstep(0.8, 0.0, rho))
    return Lesion(mask=rho < 0.97, melanin=melanin)


def _melanoma(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Melanoma: ragged outline, several colours in one-sided patches, uneven network, a blue-white veil."""
    rho = scene.outline(float(rng.uniform(0.16, 0.26)))
    rho = rho + 0.1 * texture(scene.skin.weave, scene.u, scene.v, 4.0, 2)
    body = smoothstep(1.06, 0.88, rho)
    tilt = rng.uniform(0, 2 * np.pi)
    slope = (np.float32(np.cos(tilt)) * scene.u + np.float32(np.sin(tilt)) * scene.v) / scene.skin.radius
    patches = texture(scene.skin.mottle, scene.u, scene.v, 1.7, 2)
    black = smoothstep(-0.2, 0.8, patches + 0.7 * slope)
    other = texture(scene.skin.weave, scene.u + 3, scene.v, 1.6, 2)
    veil = smoothstep(-0.1, 0.9, other - 0.4 * slope) * body * float(rng.uniform(0.75, 0.95))
    red = smoothstep(0.2, 0.9, -other) * body
    mesh = scene.network(rng, float(rng.uniform(2.6, 4.5)))
    melanin = body * (0.8 + 1.6 * black + 0.7 * mesh * (1 - black))
    n = int(rng.integers(8, 24))
    u, v = scene.scatter(rng, n, 1.05)
    globules = scene.spots(rng, u, v, rng.uniform(0.03, 0.07, n).astype(np.float32))
    return Lesion(mask=rho < 0.98, melanin=melanin + 1.2 * globules * (rho < 1.1), deep=veil, blood=0.7 * red)


def _carcinoma(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Basal cell carcinoma: pink and translucent, with treelike vessels and blue-grey ovoid nests."""
    rho = scene.outline(0.08)
    body = smoothstep(1.06, 0.85, rho)
    n = int(rng.integers(3, 6))
    turn = rng.uniform(0, 2 * np.pi) + np.arange(n) * 2 * np.pi / n + rng.normal(0, 0.25, n)
    start = scene.skin.radius * 1.0 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    trunk, _ = grow(rng, start, turn + np.pi + rng.normal(0, 0.3, n), np.full(n, 1.1 * scene.skin.radius), 1.6, 16)
    at = rng.integers(3, 14, (n, 6))
    heads = (turn[:, None] + np.pi + rng.choice((-1, 1), (n, 6)) * rng.uniform(0.5, 1.2, (n, 6))).ravel()
    roots = trunk[np.arange(n)[:, None], at].reshape(-1, 2)
    long = scene.skin.radius * rng.uniform(0.2, 0.55, n * 6)
    twigs, _ = grow(rng, roots, heads, long, 1.8, 10)
    taper = np.linspace(1, 0.45, 16, dtype=np.float32) * np.float32(rng.uniform(0.018, 0.027))
    vessels = np.maximum(
        ribbons(scene.pose, trunk, np.tile(taper, (n, 1)), np.ones(n, np.float32)),
        ribbons(scene.pose, twigs, np.full((n * 6, 10), 0.009, np.float32), np.full(n * 6, 0.85, np.float32)),
    )
    k = int(rng.integers(3, 9))
    u, v = scene.scatter(rng, k, 0.85)
    nests = scene.spots(rng, u, v, rng.uniform(0.08, 0.2, k).astype(np.float32), oval=0.65)
    nests = ndimage.gaussian_filter(nests, 0.03 * scene.pose.scale)
    blood = 0.3 * body + 1.5 * vessels * smoothstep(1.15, 0.95, rho)
    return Lesion(mask=rho < 1, blood=blood, deep=0.9 * nests, bleach=0.6 * body)


def _keratosis(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Seborrhoeic keratosis: stuck on, sharp-edged, dull brown, with milia-like cysts and dark plugs."""
    rho = scene.outline(0.06)
    body = smoothstep(1.02, 0.97, rho)
    clods = texture(scene.skin.mottle, scene.u, scene.v, 6.0, 2)
    furrows = smoothstep(0.16, 0.0, np.abs(clods))
    depth = float(rng.uniform(0.7, 1.3))
    n, k = int(rng.integers(10, 26)), int(rng.integers(5, 14))
    u, v = scene.scatter(rng, n + k, 0.88)
    cysts = scene.spots(rng, u[:n], v[:n], rng.uniform(0.03, 0.065, n).astype(np.float32))
    plugs = scene.spots(rng, u[n:], v[n:], rng.uniform(0.04, 0.09, k).astype(np.float32), oval=0.8)
    melanin = body * (depth * (1 + 0.15 * clods) + 0.45 * furrows + 0.15 * smoothstep(0.75, 1.0, rho)) + 1.6 * plugs
    return Lesion(mask=rho < 1, melanin=melanin, keratin=np.maximum(0.85 * cysts, 0.08 * body), bleach=0.4 * body)


def _angioma(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Angioma: round lacunae full of blood, red to purple, between pale septa."""
    rho = scene.outline(0.04)
    step = float(rng.uniform(0.24, 0.36))
    grid = np.arange(-1.6, 1.6, step)
    u, v = (a.ravel() + rng.normal(0, 0.12 * step, a.size) for a in np.meshgrid(grid, grid))
    u = u + 0.5 * step * (np.round(v / step) % 2)
    radius = step * rng.uniform(0.46, 0.6, u.size)
    kept = np.hypot(u, v / np.float32(0.5 + 0.5 * scene.skin.oval)) < 0.95 * scene.skin.radius
    x, y, r = (a[kept].astype(np.float32) for a in (u, v, radius))
    lacunae = ndimage.gaussian_filter(scene.spots(rng, x, y, r), 0.02 * scene.pose.scale)
    mask = rho < 1
    purple = float(rng.uniform(0, 0.5)) * smoothstep(0.9, 0.2, rho)
    blood = 0.35 * smoothstep(1.2, 0.9, rho) + float(rng.uniform(1.3, 2.0)) * lacunae
    return Lesion(mask=mask | (lacunae > 0.4), blood=blood, melanin=0.8 * purple * lacunae, bleach=0.3 * lacunae)


FINDINGS: dict[str, Callable[[np.random.Generator, Scene], Lesion]] = {
    "melanocytic nevus": _nevus,
    "melanoma": _melanoma,
    "basal cell carcinoma": _carcinoma,
    "seborrheic keratosis": _keratosis,
    "angioma": _angioma,
}


def reflect(scene: Scene, lesion: Lesion) -> Array:
    """The light that the skin returns, [3, S, S], under even illumination."""
    own, u, v = scene.skin, scene.u, scene.v
    melanin = own.melanin * (1 + 0.3 * texture(own.mottle, u, v, 1.2, 2))
    blood = own.blood * (1 + 0.25 * texture(own.weave, u, v, 1.5, 3))
    furrows = smoothstep(0.25, 0.0, np.abs(texture(own.weave, u + 0.4 * v, v - 0.2 * u, 4.5)))
    melanin = melanin + own.lines * furrows
    if lesion.bleach is not None:
        melanin = melanin * (1 - lesion.bleach)
    if lesion.melanin is not None:
        melanin = melanin + lesion.melanin
    if lesion.blood is not None:
        blood = blood + lesion.blood
    light = DERMIS * np.exp(-melanin * MELANIN - blood * BLOOD)
    if lesion.deep is not None:
        light = light + lesion.deep * (DEEP - light)
    if lesion.keratin is not None:
        light = light + lesion.keratin * (KERATIN - light)
    return np.asarray(light, np.float32)


def _hairs(acquisition: np.random.Generator, pose: Pose, light: Array) -> Array:
    """Hairs across the field, dark or fair, none to a dozen."""
    n = int(acquisition.integers(0, 13)) if acquisition.random() < 0.6 else 0
    start = acquisition.uniform(-1.6, 1.6, (12, 2))[:n]
    lie = acquisition.uniform(0, 2 * np.pi) + acquisition.normal(0, 0.5, 12)[:n]
    curves, _ = grow(acquisition, start, lie, acquisition.uniform(1.0, 3.0, n), 1.2, 20)
    radius = np.full((n, 20), acquisition.uniform(0.006, 0.015), np.float32)
    shade = np.float32(acquisition.choice((0.06, 0.12, 0.5)))
    if n == 0:
        return light
    cover = 0.85 * ribbons(replace(pose, u=0.0, v=0.0), curves, radius, np.ones(n, np.float32))
    return light + cover * (shade * rgb(1, 0.8, 0.6) - light)


def _bubbles(acquisition: np.random.Generator, pose: Pose, light: Array) -> Array:
    """Air bubbles in the gel: thin bright rims, none to six."""
    n = int(acquisition.integers(1, 7)) if acquisition.random() < 0.35 else 0
    x, y = acquisition.uniform(0, pose.size, (2, n))
    r = acquisition.uniform(0.012, 0.035, n) * pose.size
    none, full = np.zeros(n), np.ones(n)
    rim = stamp(pose.size, x, y, r, r, none, full) - stamp(pose.size, x, y, 0.75 * r, 0.75 * r, none, full)
    return light + 0.45 * np.maximum(rim, 0) * (1 - light)


def draw(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """A dermoscopic picture of skin; `view` means nothing here; see `base.Draw`."""
    own = skin(patient)
    rng = np.random.default_rng(patient.integers(2**63))  # the finding's own, so that it may draw as it likes
    turn, right, down, reach, fall, corner = acquisition.uniform(
        (0, -0.3, -0.3, 1.25, 0.0, 1.0), (2 * np.pi, 0.3, 0.3, 1.75, 0.3, 2.2)
    ).tolist()
    pose = Pose(size=size, reach=reach, angle=turn, u=right, v=down, mirror=bool(acquisition.integers(2)))
    u, v = pose.plane()
    scene = Scene(skin=own, pose=pose, u=u, v=v)
    lesion = FINDINGS[finding](rng, scene) if finding else Lesion(mask=np.zeros((size, size), np.bool_))
    light = _bubbles(acquisition, pose, _hairs(acquisition, pose, reflect(scene, lesion)))
    x, y = Pose(size=size, reach=1.0).plane()
    far = norm(x, y)
    tube = 1 - 0.95 * smoothstep(corner, corner + 0.06, far)  # the dermatoscope's edge, where it is in the picture
    light = light * (tube * (1 - fall * far * far))
    pixels = develop(light.astype(np.float32), acquisition, blur=0.8, noise=0.02)
    return Drawing(pixels=pixels, mask=lesion.mask)


MODALITIES: tuple[Modality, ...] = (
    Modality(name="dermoscopy", anatomy="skin", views=("",), findings=tuple(FINDINGS), draw=draw),
)
