"""Abdominal ultrasound: liver, gallbladder and right kidney in the sector of a curved array.

Coordinates: x along the skin, right is towards the feet; z depth, 0 at the skin and 1 (about 15 cm) below.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom.base import Drawing, Modality
from dualsight.learn.phantom.echo import Map, Probe, Tissue, imaged, nearest
from dualsight.learn.phantom.physics import blob, ellipse

Distance = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Oval:
    """An ellipse; turn in radians, from x towards z."""

    x: float
    z: float
    long: float
    short: float
    turn: float

    def axes(self, x: Map, z: Map) -> tuple[Map, Map]:
        """Coordinates along and across, in units of the radii."""
        c, s = math.cos(self.turn), math.sin(self.turn)
        p, q = x - self.x, z - self.z
        along, across = (c * p + s * q) / self.long, (c * q - s * p) / self.short
        return np.asarray(along, np.float32), np.asarray(across, np.float32)

    def inside(self, x: Map, z: Map) -> Map:
        """Distance inside, about."""
        return ellipse(x, z, (self.x, self.z), (self.long, self.short), self.turn)


@dataclass(frozen=True, slots=True)
class Abdomen:
    """One patient's anatomy."""

    wall: float  # thickness of the abdominal wall
    liver: Oval
    gallbladder: Oval
    kidney: Oval
    sinus: float  # size of the renal sinus in the kidney
    cortex: float  # dB of the kidney's cortex
    liver_loss: float  # dB per depth
    vessels: NDArray[np.float64]  # [N, 5]: x, z, direction, length, radius
    portal: NDArray[np.bool_]  # [N]: with bright walls
    waves: NDArray[np.float32]  # [5, 3]: frequency in x and z, phase


def _abdomen(patient: np.random.Generator) -> Abdomen:
    u = patient.uniform
    liver = Oval(u(-0.22, -0.12), u(0.44, 0.50), u(0.62, 0.70), u(0.36, 0.42), u(0.02, 0.14))
    gallbladder = Oval(u(0.08, 0.2), u(0.34, 0.42), u(0.11, 0.17), u(0.045, 0.065), u(0.3, 1.0))
    kidney = Oval(u(0.12, 0.24), u(0.70, 0.76), u(0.22, 0.28), u(0.10, 0.125), u(-0.25, 0.2))
    vessels = np.stack(
        [u(-0.5, 0.05, 5), u(0.25, 0.7, 5), u(-0.9, 0.9, 5), u(0.10, 0.26, 5), u(0.009, 0.02, 5)], axis=1
    )
    return Abdomen(
        wall=u(0.07, 0.12),
        liver=liver,
        gallbladder=gallbladder,
        kidney=kidney,
        sinus=u(0.85, 1.15),
        cortex=u(-6.5, -3.5),
        liver_loss=u(-4, 6),
        vessels=vessels,
        portal=patient.random(5) < 0.5,
        waves=np.stack([u(-22, 22, 5), u(-22, 22, 5), u(0, 2 * np.pi, 5)], axis=1).astype(np.float32),
    )


@dataclass(slots=True)
class Scene:
    """The abdomen on the grid of beams."""

    body: Abdomen
    x: Map
    z: Map
    tissue: Tissue
    soft: float  # width of a border

    def step(self, distance: Distance, soft: float = 0.0) -> Map:
        """0 outside, 1 inside."""
        return np.asarray(np.clip(distance / max(soft, self.soft) + 0.5, 0, 1), np.float32)

    def field(self, scale: float = 1.0) -> Map:
        """A smooth random texture, about −1…1."""
        total = np.zeros_like(self.x)
        k = np.float32(scale)
        for a, b, phase in self.body.waves:
            total += np.sin(a * k * self.x + b * k * self.z + phase)
        return np.asarray(total * 0.44, np.float32)

    def line(self, distance: Distance, thick: float, echo: float) -> None:
        """A reflecting surface where `distance` is 0."""
        self.tissue.echo += self.step(0.5 * thick - np.abs(distance)) * (echo - self.tissue.echo)


def _vessels(scene: Scene) -> None:
    for (x, z, turn, long, radius), portal in zip(scene.body.vessels.tolist(), scene.body.portal, strict=True):
        c, s = math.cos(turn), math.sin(turn)
        p, q = scene.x - x, scene.z - z
        along, across = c * p + s * q, c * q - s * p
        across = across - along * along * (0.25 / long)  # curved
        beyond = np.maximum(np.abs(along) - long, 0)
        inside = radius - np.maximum(along, 0) * (0.5 * radius / long) - np.sqrt(across**2 + beyond**2)
        if portal:
            scene.tissue.fill(scene.step(inside + 0.012), 5.0)
        scene.tissue.fluid(scene.step(inside))


def _gallbladder_inside(scene: Scene) -> Map:
    """A pear: the fundus is wider than the neck."""
    along, across = scene.body.gallbladder.axes(scene.x, scene.z)
    width = 0.82 + 0.28 * np.clip(along, -1, 1)
    rho = np.hypot(along, across / width)
    return np.asarray((1 - rho) * scene.body.gallbladder.short, np.float32)


def _kidney_fat(scene: Scene) -> Map:
    """Distance inside the renal sinus."""
    along, across = scene.body.kidney.axes(scene.x, scene.z)
    k = scene.body.sinus
    edge = 1 + 0.35 * np.sin(7 * along + scene.body.waves[0, 2].astype(np.float32))
    return np.asarray((1 - np.hypot(along / (0.62 * k), across / (0.36 * k * edge))) * 0.04, np.float32)


def _normal(scene: Scene) -> None:
    """Wall, bowel, diaphragm, liver, vessels, gallbladder, kidney."""
    body, x, z, tissue = scene.body, scene.x, scene.z, scene.tissue
    texture = scene.field()
    liver = body.liver.inside(x, z) + 0.006 * texture
    behind = (liver < 0) & (x < 0.1 - 0.25 * z)  # lung: a fading mirror picture of the liver
    tissue.fill(behind.astype(np.float32), -4 - 60 * np.clip(-liver, 0, 1), 10)
    gas = scene.step(x - 0.25 * z - 0.22 + 0.05 * texture, 0.05) * (liver < 0)
    tissue.fill(gas, 3 + 6 * texture, 25)
    tissue.fill(scene.step(liver), 1.2 * texture, body.liver_loss)
    scene.line(liver + 0.008, 0.016, 14.0)
    _vessels(scene)
    kidney = body.kidney.inside(x, z)
    tissue.fill(scene.step(kidney + 0.014), 8.0)
    tissue.fill(scene.step(kidney), body.cortex + texture)
    tissue.fill(scene.step(_kidney_fat(scene), 0.02), 9 + 3 * texture)
    bladder = _gallbladder_inside(scene)
    tissue.fill(scene.step(bladder + 0.012), 7.0)
    tissue.fluid(scene.step(bladder))


def _wall(scene: Scene) -> None:
    """Skin, fat and muscle with bright fasciae: drawn last, over everything."""
    wall, z = scene.body.wall, scene.z + 0.01 * scene.field(0.3)
    above = scene.step(wall - z)
    layers = 5 * np.sin(z * np.float32(260)) + 2 * scene.field()
    scene.tissue.fill(above, np.where(z < 0.5 * wall, -3 + 0.5 * layers, -5 + layers))
    for share, echo in ((0.0, 12.0), (0.5, 9.0), (1.0, 11.0)):
        scene.line(z - share * wall, 0.014, echo)


def _in_liver(rng: np.random.Generator) -> tuple[float, float]:
    return rng.uniform(-0.30, -0.02), rng.uniform(0.28, 0.60)


def _gallstones(rng: np.random.Generator, scene: Scene) -> Map:
    """Stones on the deep wall of the gallbladder: they reflect, and nothing gets past them."""
    oval = scene.body.gallbladder
    c, s = math.cos(oval.turn), math.sin(oval.turn)
    inside = np.full_like(scene.x, -1)
    for place in rng.choice((-0.45, -0.1, 0.25, 0.6), int(rng.integers(1, 4)), replace=False).tolist():
        place += rng.uniform(-0.1, 0.1)
        radius = rng.uniform(0.022, 0.036)
        width = (0.82 + 0.28 * place) * math.sqrt(1 - place * place) * oval.short
        across = max(width - radius - 0.002, 0)
        x = oval.x + c * place * oval.long - s * across
        z = oval.z + s * place * oval.long + c * across
        stone = radius - np.hypot(scene.x - x, (scene.z - z) * 1.15)
        inside = np.maximum(inside, stone)
    scene.tissue.fill(scene.step(inside), 17.0, rng.uniform(700, 1100))
    return np.asarray(inside, np.float32)


def _cyst(rng: np.random.Generator, scene: Scene) -> Map:
    radius = rng.uniform(0.055, 0.115)
    if rng.random() < 0.75:
        at = _in_liver(rng)
    else:  # at the kidney's lower pole
        kidney = scene.body.kidney
        at = (kidney.x + 0.75 * kidney.long, kidney.z + 0.75 * kidney.long * math.sin(kidney.turn))
        radius = min(radius, 0.09)
    inside = blob(rng, scene.x, scene.z, at, radius, 0.03)
    scene.tissue.fill(scene.step(inside + 0.008), 6.0)
    scene.tissue.fluid(scene.step(inside))
    return np.asarray(inside, np.float32)


def _hydronephrosis(rng: np.random.Generator, scene: Scene) -> Map:
    """Fluid in the renal pelvis and calyces, in place of the bright sinus."""
    kidney, grade = scene.body.kidney, rng.uniform(0.75, 1.2)
    along, across = kidney.axes(scene.x, scene.z)
    inside = (1 - np.hypot(along / (0.5 * grade), across / (0.42 * grade))) * 0.05
    for place in (-0.55, -0.2, 0.2, 0.55):
        lift = rng.uniform(0.35, 0.5) * rng.choice((-1, 1))
        size = rng.uniform(0.13, 0.2) * grade
        t = np.clip((along * place + across * lift) / (place**2 + lift**2), 0, 1)
        calyx = size * (0.55 + 0.45 * t) - np.hypot(along - t * place, 0.5 * (across - t * lift))
        inside = np.maximum(inside, 0.12 * calyx)
    inside = np.minimum(inside, kidney.inside(scene.x, scene.z) - 0.018)
    scene.tissue.fluid(scene.step(inside))
    return np.asarray(inside, np.float32)


def _mass(rng: np.random.Generator, scene: Scene) -> Map:
    """A solid tumour of the liver: brighter, or darker with a halo."""
    radius = rng.uniform(0.085, 0.15)
    inside = blob(rng, scene.x, scene.z, _in_liver(rng), radius, 0.12)
    texture = scene.field(2.5)
    if rng.random() < 0.5:
        scene.tissue.fill(scene.step(inside), rng.uniform(9, 13) + 2.5 * texture, 4)
    else:
        scene.tissue.fill(scene.step(inside), rng.uniform(-20, -15), 4)
        core = rng.uniform(-12, -6)
        scene.tissue.fill(scene.step(inside - 0.25 * radius, 0.015), core + 3 * texture, 4)
    return np.asarray(inside, np.float32)


def _free_fluid(rng: np.random.Generator, scene: Scene) -> Map:
    """Fluid between liver and kidney (Morison's pouch), and below the liver's edge."""
    kidney = scene.body.kidney
    along, across = kidney.axes(scene.x, scene.z)
    thick = rng.uniform(0.045, 0.085)
    outside = -kidney.inside(scene.x, scene.z) - 0.012
    room = thick * np.clip(1.25 - (along - rng.uniform(-0.2, 0.2)) ** 2, 0, 1)
    pouch = np.minimum(np.minimum(room - outside, outside), -across * 0.1)
    pouch = np.minimum(pouch, -_gallbladder_inside(scene) - 0.015)
    scene.tissue.fluid(scene.step(pouch))
    return np.asarray(pouch, np.float32)


FINDINGS: dict[str, Callable[[np.random.Generator, Scene], Map]] = {
    "gallstones": _gallstones,
    "simple cyst": _cyst,
    "hydronephrosis": _hydronephrosis,
    "liver mass": _mass,
    "free fluid": _free_fluid,
}


def draw(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """The right upper abdomen; see `base.Draw`. `finding` is one of FINDINGS."""
    body = _abdomen(patient)
    lesion = np.random.default_rng(patient.integers(2**62))
    u = acquisition.uniform
    probe = Probe(radius=u(0.26, 0.4), angle=u(0.54, 0.66), frame=u(1.12, 1.25))
    turn, zoom, shift = u(-0.07, 0.07), u(0.92, 1.06), (u(-0.04, 0.04), u(-0.02, 0.02))
    p, q = probe.beams(size)
    c, s = math.cos(turn), math.sin(turn)
    x = np.asarray(zoom * (c * p + s * q) + shift[0], np.float32)
    z = np.asarray(zoom * (c * q - s * p) + shift[1], np.float32)
    blank = np.zeros_like(x)
    scene = Scene(body, x, z, Tissue(echo=np.full_like(x, -3), loss=blank.copy()), soft=1.2 / size)
    _normal(scene)
    inside = FINDINGS[finding](lesion, scene) if finding else blank - 1
    scene.z = q  # the wall lies on the probe
    _wall(scene)
    row, column = probe.pixels(size)
    mask = nearest((inside > 0) & (q > body.wall), row, column)
    return Drawing(pixels=imaged(acquisition, scene.tissue, row, column), mask=mask)


MODALITIES = (Modality(name="ultrasound", anatomy="abdomen", views=("",), findings=tuple(FINDINGS), draw=draw),)
