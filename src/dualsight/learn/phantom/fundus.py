"""Fundus photographs: light that the sclera returns through choroid, pigment, nerve fibres and vessels.

The anatomy is that of `retina`. Reflectances are chosen by eye; absorption is Beer and Lambert's law per channel:
haemoglobin takes green and blue, melanin takes all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dualsight.learn.phantom.base import Drawing, Modality, Side
from dualsight.learn.phantom.optics import Array, Pose, develop, rgb, ribbons, smoothstep, texture
from dualsight.learn.phantom.physics import norm
from dualsight.learn.phantom.retina import FOVEA, Scene, retina

SCLERA = rgb(1.0, 0.80, 0.62)
MELANIN = rgb(0.50, 1.05, 1.60)  # absorption per unit of pigment: R, G, B
BLOOD = rgb(0.14, 1.15, 1.55)  # of the choroid
VENOUS = rgb(0.32, 1.15, 1.25)
ARTERIAL = rgb(0.08, 0.80, 1.0)  # oxygen lets red through
HAEMORRHAGE = rgb(0.75, 2.2, 2.2)  # thick and dark
DISC = rgb(1.0, 0.54, 0.28)  # the rim: nerve fibres with capillaries
CUP = rgb(1.0, 0.92, 0.66)  # the lamina: pale
LIPID = rgb(1.0, 0.86, 0.36)
DRUSE = rgb(0.92, 0.62, 0.24)
SWOLLEN = rgb(1.0, 0.70, 0.50)
SCAR = rgb(0.96, 0.84, 0.60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """What a finding adds to a healthy eye: depths and coverages [S, S]; None where it adds nothing."""

    mask: NDArray[np.bool_]
    blood: Array | None = None
    pale: Array | None = None
    colour: Array | None = None  # [3, 1, 1], of what is pale
    pigment: Array | None = None
    swelling: Array | None = None  # of the disc
    cup: float | None = None  # in place of the healthy one
    veins: float = 1.0  # factor on their width


def _retinopathy(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Diabetic retinopathy: dot and blot haemorrhages and microaneurysms, scattered over the pole."""
    n = int(rng.integers(12, 40))
    at, turn = rng.uniform(0.25, 1.25, n), rng.uniform(0, 2 * np.pi, n)
    radius = np.where(rng.random(n) < 0.45, rng.uniform(0.04, 0.08, n), rng.uniform(0.02, 0.035, n))
    radius[:3] = rng.uniform(0.05, 0.1, 3)
    blood = scene.spots(rng, 0.55 + at * np.cos(turn), 0.05 + at * np.sin(turn), radius, stretch=1.2)
    return Lesion(mask=blood > 0.35, blood=blood)


def _exudates(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Hard exudates: waxy, sharp-edged lipid, in arcs and rings round leaking vessels near the macula."""
    rings = int(rng.integers(1, 4))
    n = int(rng.integers(14, 30))
    far, turn = rng.uniform(0.1, 0.55, rings), rng.uniform(0, 2 * np.pi, rings)
    ring = rng.integers(0, rings, n)
    angle = rng.uniform(0, 2 * np.pi, rings)[ring] + rng.normal(0, 1.1, n)
    wide = rng.uniform(0.12, 0.34, rings)[ring] * rng.normal(1, 0.12, n)
    u = FOVEA[0] + (far * np.cos(turn))[ring] + wide * np.cos(angle)
    v = FOVEA[1] + (far * np.sin(turn))[ring] + wide * np.sin(angle)
    pale = scene.spots(rng, u, v, rng.uniform(0.022, 0.06, n), stretch=1.3)
    return Lesion(mask=pale > 0.35, pale=pale, colour=LIPID)


def _glaucoma(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Glaucoma: the cup takes most of the disc (cup/disc ratio over 0.7); the mask is the cup."""
    cup = float(rng.uniform(0.72, 0.9))
    return Lesion(mask=scene.rho < cup, cup=cup)


def _drusen(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Drusen of macular degeneration: soft, dull yellow, round deposits under the macula."""
    n = int(rng.integers(18, 45))
    far, turn = np.abs(rng.normal(0, rng.uniform(0.2, 0.36), n)), rng.uniform(0, 2 * np.pi, n)
    u, v = FOVEA[0] + far * np.cos(turn), FOVEA[1] + far * np.sin(turn)
    hard = scene.spots(rng, u, v, rng.uniform(0.03, 0.075, n))
    soft = ndimage.gaussian_filter(hard, 0.018 * scene.pose.scale)
    return Lesion(mask=soft > 0.3, pale=0.85 * soft, colour=DRUSE)


def _papilledema(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Papilledema: a swollen disc without edge or cup, its vessels veiled, with bleeding round it."""
    reach = float(rng.uniform(1.5, 2.0))
    frayed = scene.rho + 0.3 * texture(scene.eye.weave, scene.u, scene.v, 7.0)
    swelling = smoothstep(reach + 0.3, 0.8, frayed)
    n = int(rng.integers(3, 10))
    far, turn = scene.eye.disc * rng.uniform(1.1, reach + 0.2, n), rng.uniform(0, 2 * np.pi, n)
    blood = scene.spots(rng, far * np.cos(turn), far * np.sin(turn), rng.uniform(0.02, 0.04, n), stretch=2.5)
    return Lesion(mask=swelling > 0.3, swelling=swelling, blood=blood, cup=0.05, veins=float(rng.uniform(1.2, 1.5)))


def _laser(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Laser scars: a loose grid of round pale burns with pigmented centres outside the arcades."""
    step = rng.uniform(0.24, 0.34)
    grid = np.arange(-1.4, 2.6, step)
    u, v = (a.ravel() + rng.normal(0, 0.16 * step, a.size) for a in np.meshgrid(grid, grid))
    far = np.hypot(u - 0.5, v)
    from_, width = rng.uniform(0, 2 * np.pi), rng.uniform(1.6, np.pi)
    turn = np.abs((np.arctan2(v, u - 0.5) - from_ + np.pi) % (2 * np.pi) - np.pi)
    kept = (far > rng.uniform(0.8, 0.95)) & (far < 1.5) & (turn < width)
    u, v = u[kept], v[kept]
    radius = rng.uniform(0.065, 0.09, len(u))
    pale = scene.spots(rng, u, v, radius, ragged=0.15)
    core = scene.spots(rng, u, v, 0.5 * radius, ragged=0.15) * np.float32(rng.uniform(0.3, 1.0))
    return Lesion(mask=pale > 0.35, pale=pale, colour=SCAR, pigment=core)


def _occlusion(rng: np.random.Generator, scene: Scene) -> Lesion:
    """Vein occlusion: flame-shaped haemorrhages crowd the sector that one dilated vein drains."""
    side = rng.choice((-1.0, 1.0))
    middle, spread = side * rng.uniform(0.7, 1.1), rng.uniform(0.3, 0.5)
    n = int(rng.integers(60, 130))
    turn, far = middle + spread * rng.uniform(-1, 1, n), rng.uniform(0.25, rng.uniform(1.1, 1.5), n)
    blood = scene.spots(
        rng, far * np.cos(turn), far * np.sin(turn), rng.uniform(0.02, 0.05, n) * (0.6 + 0.6 * far), stretch=2.2
    )
    return Lesion(mask=blood > 0.35, blood=blood, veins=float(rng.uniform(1.2, 1.6)))


FINDINGS: dict[str, Callable[[np.random.Generator, Scene], Lesion]] = {
    "diabetic retinopathy": _retinopathy,
    "hard exudates": _exudates,
    "glaucoma": _glaucoma,
    "drusen": _drusen,
    "papilledema": _papilledema,
    "laser scars": _laser,
    "retinal vein occlusion": _occlusion,
}


def reflect(scene: Scene, lesion: Lesion) -> Array:
    """The light that the eye returns, [3, S, S], under even illumination."""
    eye, u, v, rho = scene.eye, scene.u, scene.v, scene.rho
    macula = np.exp(-((u - FOVEA[0]) ** 2 + (v - FOVEA[1]) ** 2) / np.float32(2 * 0.2**2))
    melanin = eye.pigment * (0.5 + 0.2 * texture(eye.mottle, u, v, 2.0, 2)) + 0.32 * macula
    choroid = eye.choroid + 0.22 * macula + eye.tigroid * texture(eye.weave, u + v, 2.5 * v - u, 4.0)
    light = SCLERA * np.exp(-melanin * MELANIN - choroid * BLOOD)
    light = _mix(light, DISC, smoothstep(1.08, 0.92, rho))
    cup = eye.cup if lesion.cup is None else lesion.cup
    light = _mix(light, CUP, smoothstep(cup + 0.12, cup - 0.06, rho))
    if lesion.swelling is not None:
        light = _mix(light, SWOLLEN, 0.9 * lesion.swelling)
    if lesion.pale is not None and lesion.colour is not None:
        light = _mix(light, lesion.colour, lesion.pale)
    if lesion.pigment is not None:
        light = light * np.exp(-1.6 * lesion.pigment * MELANIN)
    veil = (1 - macula) if lesion.swelling is None else (1 - macula) * (1 - 0.5 * lesion.swelling)
    absorbed = (_blood(scene, True, lesion.veins) * veil) * VENOUS + (_blood(scene, False, 1.0) * veil) * ARTERIAL
    if lesion.blood is not None:
        absorbed += lesion.blood * HAEMORRHAGE
    return np.asarray(light * np.exp(-absorbed), np.float32)


def _mix(light: Array, colour: Array, cover: Array) -> Array:
    return light + cover * (colour - light)


def _blood(scene: Scene, veins: bool, widen: float) -> Array:
    """Depth of the blood in the veins or the arteries, [S, S]: twigs first, trunks over them."""
    eye = scene.eye
    depth = np.zeros(scene.u.shape, np.float32)
    for curves, radii, vein in zip(eye.curves, eye.radii, eye.veins, strict=True):
        chosen = vein == veins
        radius = radii[chosen] * np.float32(widen)
        weight = np.clip(radius.mean(axis=1) / 0.02, 0.3, 1)
        depth = np.maximum(depth, ribbons(scene.pose, curves[chosen], radius, weight))
    return depth


def draw(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """A fundus photograph of the right or left eye; see `base.Draw`."""
    eye = retina(patient)
    rng = np.random.default_rng(patient.integers(2**63))  # the finding's own, so that it may draw as it likes
    turn, right, down, reach, aperture, fall = acquisition.uniform(
        (-0.15, 0.4, -0.1, 1.35, 0.93, 0.25), (0.15, 0.65, 0.15, 1.65, 1.06, 0.6)
    ).tolist()
    pose = Pose(size=size, reach=reach, angle=turn, u=right, v=down, mirror=view != "left eye")
    u, v = pose.plane()
    rho = norm(u / np.float32(eye.oval), v) / np.float32(eye.disc)
    scene = Scene(eye=eye, pose=pose, u=u, v=v, rho=rho)
    lesion = FINDINGS[finding](rng, scene) if finding else Lesion(mask=np.zeros((size, size), np.bool_))
    x, y = Pose(size=size, reach=1.0).plane()
    lamp = acquisition.normal(0, 0.22, 2).astype(np.float32)
    lit = 1 - np.float32(fall) * ((x - lamp[0]) ** 2 + (y - lamp[1]) ** 2) * 0.7
    opening = np.clip((np.float32(aperture) - norm(x, y)) * (size / 2) + 0.5, 0, 1)
    light = reflect(scene, lesion) * (np.clip(lit, 0.1, 1) * opening * 0.75)
    haze = np.float32(acquisition.uniform(0, 0.05)) * opening
    pixels = develop(light + haze, acquisition, blur=0.8, noise=0.02)
    side: Side | None = None if finding is None else ("left" if view == "left eye" else "right")
    return Drawing(pixels=pixels, mask=lesion.mask & (opening > 0.5), side=side)


MODALITIES: tuple[Modality, ...] = (
    Modality(name="fundus", anatomy="retina", views=("right eye", "left eye"), findings=tuple(FINDINGS), draw=draw),
)
