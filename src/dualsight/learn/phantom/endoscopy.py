"""Colonoscopy: a tube of moist mucosa with folds, lit by a lamp beside the lens.

Depth makes the picture: the wall seen under the angle whose tangent is r lies at depth 1 / r, light falls
with the square of the distance, folds stand out of the wall and shade it, and moist walls reflect the
lamp itself where they face it. Colour is haemoglobin's absorption in the mucosa.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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

MUCOSA = rgb(1.0, 0.82, 0.66)
BLOOD = rgb(0.16, 1.0, 1.0)
FRESH = rgb(0.32, 0.025, 0.02)  # blood that lies on the wall
FIBRIN = rgb(0.92, 0.86, 0.60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bowel:
    """One stretch of healthy bowel, and where a lesion of it sits."""

    blood: float
    folds: float  # height of the haustral folds
    spacing: float  # between folds, in units of log depth
    triangle: float  # how far the lumen is three-cornered
    phase: float
    turn: float  # of the lesion, about the lumen
    far: float  # of the lesion from the lumen
    radius: float
    curves: Array  # vessels, [n, k, 2]
    weave: Array
    mottle: Array


def bowel(patient: np.random.Generator) -> Bowel:
    """Healthy bowel; every draw is made whatever is to be shown."""
    blood, folds, spacing, triangle, phase, turn, far, radius = patient.uniform(
        (0.55, 0.5, 0.6, 0.05, 0, 0, 0.42, 0.2), (1.1, 1.0, 0.9, 0.2, 2 * np.pi, 2 * np.pi, 0.6, 0.36)
    ).tolist()
    start = patient.uniform(-1.2, 1.2, (26, 2))
    curves, _ = grow(patient, start, patient.uniform(0, 2 * np.pi, 26), patient.uniform(0.3, 0.9, 26), 2.2, 14)
    return Bowel(
        blood=blood,
        folds=folds,
        spacing=spacing,
        triangle=triangle,
        phase=phase,
        turn=turn,
        far=far,
        radius=radius,
        curves=curves,
        weave=lattice(patient),
        mottle=lattice(patient),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The wall as the lens sees it: maps [S, S] in a plane whose origin is the lumen."""

    bowel: Bowel
    pose: Pose
    u: Array
    v: Array
    r: Array  # from the lumen
    theta: Array

    @property
    def middle(self) -> tuple[float, float]:
        """The lesion's centre."""
        b = self.bowel
        return b.far * float(np.cos(b.turn)), b.far * float(np.sin(b.turn))

    def around(self, ragged: float, oval: float = 1.0) -> Array:
        """Distance from the lesion's centre, 1 at its edge; drawn out along the wall."""
        u, v = self.u - self.middle[0], self.v - self.middle[1]
        cos, sin = float(np.cos(self.bowel.turn)), float(np.sin(self.bowel.turn))
        across, along = (cos * u + sin * v) / oval, cos * v - sin * u
        far = np.sqrt(across * across + along * along) / self.bowel.radius
        return np.asarray(far + ragged * texture(self.bowel.mottle, self.u, self.v, 4.0, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """What a finding adds to the wall: maps [S, S]; None where it adds nothing."""

    mask: NDArray[np.bool_]
    relief: Array | None = None  # height, in units of the plane
    blood: Array | None = None  # in the mucosa
    fibrin: Array | None = None  # cover
    pool: Array | None = None  # cover of fresh blood
    veil: Array | None = None  # how far vessels are hidden


def _polyp(rng: np.random.Generator, scene: Scene) -> Lesion:
    """A polyp: a dome that stands out of the wall, redder, without the wall's vessels."""
    rho = scene.around(0.05, float(rng.uniform(0.75, 1.0)))
    dome = np.sqrt(np.clip(1 - rho * rho, 0, 1)) * scene.bowel.radius
    bumps = 1 + 0.04 * texture(scene.bowel.weave, scene.u, scene.v, 9.0, 2)
    body = smoothstep(1.03, 0.95, rho)
    blood = body * (float(rng.uniform(0.1, 0.5)) + 0.15 * texture(scene.bowel.mottle, scene.u, scene.v, 14.0))
    return Lesion(mask=rho < 1, relief=dome * bumps * float(rng.uniform(0.9, 1.4)), blood=blood, veil=body)


def _ulcer(rng: np.random.Generator, scene: Scene) -> Lesion:
    """An ulcer: a hollow with a yellow-white floor of fibrin and a raised, reddened rim."""
    rho = scene.around(0.22, float(rng.uniform(0.6, 1.0)))
    floor = smoothstep(0.9, 0.72, rho)
    rim = np.exp(-(((rho - 1.0) / 0.2) ** 2))
    spots = smoothstep(0.35, 0.8, texture(scene.bowel.weave, scene.u, scene.v, 8.0, 2))
    return Lesion(
        mask=rho < 1.1,
        relief=0.3 * scene.bowel.radius * (rim - 0.6 * floor),
        blood=float(rng.uniform(0.7, 1.2)) * rim,
        fibrin=floor * (1 - 0.6 * spots) * float(rng.uniform(0.8, 0.95)),
        veil=np.maximum(floor, rim),
    )


def _bleeding(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Bleeding: fresh blood that wells from a point, runs down in streaks, and pools."""
    rho = scene.around(0.25)
    pool = smoothstep(1.0, 0.88, rho * float(rng.uniform(1.1, 1.5)))
    n = int(rng.integers(3, 7))
    start = np.array(scene.middle) + rng.normal(0, 0.4 * scene.bowel.radius, (n, 2))
    fall = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.35, n)
    curves, _ = grow(rng, start, fall, rng.uniform(0.3, 0.9, n), 0.9, 16)
    wide = rng.uniform(0.03, 0.08, (n, 1)) * np.linspace(1, 0.5, 16)
    streaks = ribbons(scene.pose, curves, wide, np.ones(n))
    pool = np.maximum(pool, ndimage.gaussian_filter(streaks, 0.012 * scene.pose.scale))
    return Lesion(mask=pool > 0.5, relief=0.05 * pool, pool=0.93 * pool, veil=pool)


FINDINGS: dict[str, Callable[[np.random.Generator, Scene], Lesion]] = {
    "polyp": _polyp,
    "ulcer": _ulcer,
    "bleeding": _bleeding,
}


def _lit(scene: Scene, relief: Array | None) -> Array:
    """Light that falls on the wall, [S, S]."""
    own = scene.bowel
    corners = 1 + own.triangle * np.cos(3 * scene.theta + own.phase)
    depth = -np.log(np.clip(scene.r / corners, 0.04, 3))  # log of the distance down the tube
    waver = 0.35 * texture(own.weave, scene.u, scene.v, 1.2)
    turns = depth / own.spacing + waver + own.phase
    ridge = np.exp(3 * (np.cos(np.float32(2 * np.pi) * turns) - 1))  # sharp crests, wide haustra
    height = own.folds * 0.16 * ridge * scene.r + 0.02 * texture(own.mottle, scene.u, scene.v, 3.0, 2)
    if relief is not None:
        height = height + relief
    height = ndimage.gaussian_filter(height, 0.012 * scene.pose.scale)
    slope_v, slope_u = np.gradient(height, 1 / scene.pose.scale)
    turned = scene.pose.angle  # the lamp sits beside the lens and turns with the camera, not with the bowel
    lean = 0.55 * (np.float32(np.cos(turned)) * slope_u + np.float32(np.sin(turned)) * slope_v)
    facing = (1 - lean) / np.sqrt(1 + slope_u**2 + slope_v**2)
    fall = 1 / (1 + 0.42 * np.exp(2 * np.minimum(depth, 3.5)))
    return np.asarray(np.clip(facing, 0.15, 1.6) * fall * 1.35)


def reflect(scene: Scene, lesion: Lesion) -> Array:
    """The light that the wall returns, [3, S, S]."""
    own, u, v = scene.bowel, scene.u, scene.v
    vessels = ribbons(scene.pose, own.curves, np.full(own.curves.shape[:2], 0.011), np.full(len(own.curves), 0.6))
    if lesion.veil is not None:
        vessels = vessels * (1 - np.clip(lesion.veil, 0, 1))
    blood = own.blood * (1 + 0.2 * texture(own.mottle, u, v, 2.0, 3)) + 0.6 * vessels
    if lesion.blood is not None:
        blood = blood + lesion.blood
    wall = MUCOSA * np.exp(-blood * BLOOD)
    if lesion.fibrin is not None:
        wall = wall + lesion.fibrin * (FIBRIN - wall)
    if lesion.pool is not None:
        wall = wall + lesion.pool * (FRESH - wall)
    return wall * _lit(scene, lesion.relief)


def _moist(acquisition: np.random.Generator, scene: Scene, light: Array) -> Array:
    """The lamp's own reflections: small white patches where the wall is close and wet, and bubbles."""
    n, k = int(acquisition.integers(4, 22)), int(acquisition.integers(0, 5))
    size = scene.pose.size
    turn, far = acquisition.uniform(0, 2 * np.pi, n + k), acquisition.uniform(0.3, 1.1, n + k)
    x, y = scene.pose.pixels(far * np.cos(turn), far * np.sin(turn))
    long = acquisition.uniform(0.008, 0.028, n + k) * size
    short = long * np.where(np.arange(n + k) < n, acquisition.uniform(0.3, 0.8, n + k), 1)
    lie, full = acquisition.uniform(0, np.pi, n + k), np.ones(n + k)
    glints = stamp(size, x[:n], y[:n], long[:n], short[:n], lie[:n], acquisition.uniform(0.4, 1, n))
    rim = stamp(size, x[n:], y[n:], long[n:], long[n:], lie[n:], full[n:])
    rim = rim - stamp(size, x[n:], y[n:], 0.7 * long[n:], 0.7 * long[n:], lie[n:], full[n:])
    return light + np.maximum(glints, 0.4 * np.maximum(rim, 0)) * (1 - light)


def draw(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """A colonoscope's picture; `view` means nothing here; see `base.Draw`."""
    own = bowel(patient)
    rng = np.random.default_rng(patient.integers(2**63))  # the finding's own, so that it may draw as it likes
    turn, right, down, reach, corner, cut = acquisition.uniform(
        (0, -0.22, -0.22, 0.9, 0.97, 1.55), (2 * np.pi, 0.22, 0.22, 1.1, 1.2, 2.0)
    ).tolist()
    pose = Pose(size=size, reach=reach, angle=turn, u=right, v=down)
    u, v = pose.plane()
    scene = Scene(bowel=own, pose=pose, u=u, v=v, r=norm(u, v), theta=np.arctan2(v, u))
    lesion = FINDINGS[finding](rng, scene) if finding else Lesion(mask=np.zeros((size, size), np.bool_))
    x, y = np.abs(Pose(size=size, reach=1.0).plane())
    opening = np.clip((np.float32(corner) - (x**4 + y**4) ** np.float32(0.25)) * (size / 2) + 0.5, 0, 1)
    opening = opening * np.clip((np.float32(cut) - x - y) * (size / 2) + 0.5, 0, 1)  # cut corners, as endoscopes show
    pixels = develop(_moist(acquisition, scene, reflect(scene, lesion)) * opening, acquisition, blur=0.9, noise=0.02)
    return Drawing(pixels=pixels, mask=lesion.mask & (opening > 0.5))


MODALITIES: tuple[Modality, ...] = (
    Modality(name="endoscopy", anatomy="colon", views=("",), findings=tuple(FINDINGS), draw=draw),
)
