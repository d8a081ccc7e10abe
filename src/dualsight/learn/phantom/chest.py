"""The chest as x-rays cross it: one patient's anatomy, and the thickness of what lies in the beam.

Coordinates: x to the right (image right is the patient's left), y down; one unit is about 19 cm.
Thicknesses are along the beam in the same unit; attenuation is in 1 / unit at about 70 keV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dualsight.learn.phantom import physics
from dualsight.learn.phantom.physics import Map, ellipse, radius, soft

SOFT, BONE, METAL = 3.6, 9.5, 90.0
ALVEOLI = 0.25  # density of aerated lung, of soft tissue
APEX, FLOOR = -0.78, 0.78  # y of the lung's apex and of the lowest recess
SPINE_PITCH = 0.135

Line = NDArray[np.float64]  # [n, 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chest:
    """One patient's anatomy."""

    width: float  # half the thorax, inside the ribs
    depth: float  # of the body along the beam
    wall: float  # soft tissue at the sides
    heart: float  # cardiothoracic ratio, posteroanterior
    tilt: float  # of the heart's axis, radians
    domes: tuple[float, float]  # y of the diaphragm's tops at image left and right
    mediastinum: float  # half width
    knob: float  # radius of the aortic arch
    slope: float  # height of a rib's loop
    ribs: float  # y of the first rib's loop
    markings: float  # strength of the vessels
    stomach: float  # radius of the bubble of gas
    breasts: float  # thickness, 0 for many
    clavicles: float  # rise to the side


def anatomy(rng: np.random.Generator) -> Chest:
    """Anatomy as it varies among people."""
    dome = rng.uniform(0.3, 0.42)
    return Chest(
        width=rng.uniform(0.66, 0.77),
        depth=rng.uniform(0.95, 1.25),
        wall=rng.uniform(0.1, 0.2),
        heart=rng.uniform(0.37, 0.45),
        tilt=rng.uniform(0.45, 0.75),
        domes=(dome, dome + rng.uniform(0.02, 0.07)),
        mediastinum=rng.uniform(0.1, 0.14),
        knob=rng.uniform(0.07, 0.1),
        slope=rng.uniform(0.2, 0.27),
        ribs=rng.uniform(-0.6, -0.54),
        markings=rng.uniform(0.7, 1.2),
        stomach=rng.uniform(0.04, 0.12),
        breasts=max(rng.uniform(-0.12, 0.12), 0.0),
        clavicles=rng.uniform(0.06, 0.16),
    )


@dataclass(slots=True, kw_only=True)
class Scene:
    """The thorax on a canvas: what the beam crosses."""

    chest: Chest
    x: Map
    y: Map
    wall: Map  # signed distance to the inner wall of the thorax, positive inside
    above: Map  # height over the diaphragm
    heart: Map  # signed distance, positive inside
    body: Map  # thickness
    gas: Map  # thickness of lung or air
    density: Map  # of what fills it, relative to soft tissue
    vessels: Map  # thickness of blood inside the lung
    extra: Map  # attenuation of bone and metal beyond what they displace

    def lung(self, sign: int) -> Map:
        """Signed distance to the lung of image left (-1) or right (1), heart and mediastinum left out."""
        inner = self.x * sign - (self.chest.mediastinum + 0.03)
        return np.minimum(np.minimum(self.wall, self.above), np.minimum(inner, -self.heart))


def _wall(chest: Chest, x: Map, y: Map) -> Map:
    """Signed distance to the thorax's inner wall: a bell whose two apices lie beside the spine."""
    rows = y[:, 0]
    up = np.clip((FLOOR - rows) / (FLOOR - APEX), 0, 1)
    half = chest.width * (1 - up**2.4) ** 0.55
    slope = np.gradient(half, rows)
    side = (half[:, None] - np.abs(x[:1])) / np.sqrt(1 + np.minimum(slope, 8) ** 2)[:, None]
    columns = np.abs(x[0])
    top = APEX + 0.03 + 1.6 * np.square(columns - 0.3)
    return np.minimum(side, y - top[None, :]).astype(np.float32)


def _diaphragm(chest: Chest, x: Map, y: Map) -> Map:
    """Height over the two domes, which fall to the costophrenic angles."""
    columns = x[0]
    lateral = (np.abs(columns) - 0.3) / (chest.width - 0.3)
    fall = np.where(lateral > 0, 0.24 * np.abs(lateral) ** 2.4, 0.07 * np.abs(lateral) ** 2)
    dome = np.where(columns < 0, *chest.domes)
    return (dome + fall)[None, :].astype(np.float32) - y


def heart_of(chest: Chest, ratio: float, x: Map, y: Map) -> Map:
    """Signed distance to a heart whose greatest width is `ratio` of the thorax's."""
    width = ratio * 2 * chest.width
    cos, sin = math.cos(chest.tilt), math.sin(chest.tilt)
    long = width / 2 / math.sqrt(cos**2 + (0.72 * sin) ** 2)
    centre = (0.19 * width, chest.domes[1] - 0.07 - 0.3 * width)
    return ellipse(x, y, centre, (long, 0.72 * long), chest.tilt)


def _ribs(chest: Chest, x: Map, y: Map, wall: Map) -> Map:
    """Attenuation of ten pairs: each a loop that rises to the spine behind and sinks to the front."""
    bone = np.zeros_like(x)
    rows = y[:, 0]
    for k in range(10):
        middle = chest.ribs + 0.132 * k + 0.1
        height = chest.slope * (0.75 + 0.045 * k)
        up = np.clip((FLOOR - middle) / (FLOOR - APEX), 0, 1)
        half = chest.width * (1 - up**2.4) ** 0.55 + 0.025
        band = slice(*np.searchsorted(rows, (middle - height - 0.06, middle + height + 0.06)))
        u, v = x[band] / half, (y[band] - middle) / height
        rho = np.sqrt(u * u + v * v) + 1e-6
        steep = physics.norm(u / half, v / height) / rho
        off = np.abs(rho - 1) / np.maximum(steep, 1e-3)  # distance to the loop
        front = soft(v, 0.5)
        reach = soft(np.abs(x[band]) - 0.26 * front, 0.12)  # cartilage near the breastbone
        r = 0.028
        tube = np.sqrt(np.maximum(1 - np.square(off / r), 0))
        rim = np.sqrt(np.maximum(1 - np.square(off / (r * 0.72)), 0))
        bone[band] += (tube - 0.6 * rim) * (1 - 0.45 * front) * reach * 0.075
    return bone * (BONE - SOFT) * soft(wall + 0.07, 0.05)


def _skeleton(chest: Chest, x: Map, y: Map, supine: bool) -> Map:
    """Attenuation of spine, clavicles, shoulder blades and humeral heads."""
    out = np.abs(x[:1])  # most depends on one coordinate only
    pitch = np.cos(y[:, :1] * (2 * np.pi / SPINE_PITCH))
    body = soft(0.075 - out + 0.008 * pitch, 0.02)
    spine = body * (0.085 + 0.03 * pitch) + 0.04 * soft(0.018 - out, 0.02) * (pitch > 0.2)
    along = (out - 0.36) / 0.3  # -1 … 1 from breastbone to shoulder
    lift = chest.clavicles * (1.1 if supine else 0.5)
    middle = -0.6 - lift * along + 0.05 * np.sin(2.6 * along)
    off = np.abs(y - middle) / 0.034
    tube = np.sqrt(np.maximum(1 - off * off, 0)) - 0.55 * np.sqrt(np.maximum(1 - 2 * off * off, 0))
    clavicle = tube * soft(1 - np.abs(along), 0.08) * 0.12
    inner = (0.52 if supine else 0.7) + 0.12 * y[:, :1]
    blade = soft(out - inner, 0.02) * soft(0.42 - np.abs(y[:, :1] + 0.32), 0.3)
    ridge = soft(0.02 - np.abs(out - inner - 0.02), 0.02) * blade
    head = physics.chord(radius(np.abs(x), y, (0.98, -0.62), (0.13, 0.14)), 0.07)
    return (spine + clavicle + 0.014 * blade + 0.02 * ridge + head) * (BONE - SOFT)


def _body(chest: Chest, x: Map, y: Map) -> Map:
    """Thickness of the body: trunk, neck and shoulders."""
    out = np.abs(x[:1])
    across = out / (chest.width + chest.wall)
    trunk = np.sqrt(np.maximum(1 - across**2.5, 0)) * soft(y[:, :1] + 0.75, 0.7)
    neck = np.sqrt(np.maximum(1 - np.square(out / 0.3), 0)) * 0.65
    shoulder = 0.72 * soft(y + 0.98 - 0.42 * np.maximum(out - 0.22, 0), 0.2)
    axilla = -0.25 + 1.3 * (out - (chest.width + 0.06))
    arm = shoulder * soft(axilla - y, 0.45)
    breast = sum(physics.chord(radius(x, y, (s * 0.42, 0.38), (0.28, 0.24)), chest.breasts) for s in (-1, 1))
    return chest.depth * np.maximum(np.maximum(trunk, arm), neck * (y < -0.5)) + breast


def _tree(rng: np.random.Generator, sign: int) -> tuple[list[Line], list[float]]:
    """Vessels of one lung from the hilum outwards, narrow ones first: twigs, then stems; with their widths."""
    headings = np.linspace(-1.35, 1.45, 9) + rng.normal(0, 0.1, 9)
    length = rng.uniform(0.4, 0.62, 9)[:, None]
    turn = headings[:, None] + np.cumsum(rng.normal(0, 0.13, (9, 8)), axis=1)  # [9, 8]
    step = np.stack([np.cos(turn), np.sin(turn)], axis=2) * length[..., None] / 8
    root = np.stack([np.full(9, 0.13), -0.06 + 0.05 * headings], axis=1)[:, None]
    stems = np.concatenate([root, root + np.cumsum(step, axis=1)], axis=1)  # [9, 9, 2]
    forks, sides = np.array([2, 3, 5, 6]), np.array([-0.5, 0.55, -0.45, 0.45])
    bend = (turn[:, forks] + sides)[..., None] + np.cumsum(rng.normal(0, 0.15, (9, 4, 5)), axis=2)
    steps = np.stack([np.cos(bend), np.sin(bend)], axis=3) * length[..., None, None] * 0.09
    start = stems[:, forks][:, :, None]
    twigs = np.concatenate([start, start + np.cumsum(steps, axis=2)], axis=2).reshape(36, 6, 2)
    stems, twigs = stems * (sign, 1), twigs * (sign, 1)
    lines = [*twigs, *stems[:, 5:], *stems[:, 3:6], *stems[:, :4]]
    return lines, [0.018, 0.018, 0.011, 0.011] * 9 + [0.012] * 9 + [0.021] * 9 + [0.032] * 9


def _vessels(rng: np.random.Generator, side: int) -> Map:
    """Thickness of blood in both lungs."""
    lines: list[Line] = []
    widths: list[float] = []
    for sign in (-1, 1):
        branches, thick = _tree(rng, sign)
        lines += branches
        widths += thick
    drawn = physics.strands(side, lines, widths, [1.6 * width for width in widths])
    return ndimage.gaussian_filter(drawn, side / 160, truncate=2.5)


def scene_of(chest: Chest, patient: np.random.Generator, view: str, side: int) -> Scene:
    """The thorax in one view; an anteroposterior beam magnifies the heart."""
    supine = view == "anteroposterior"
    x, y = physics.grid(side)
    wall, above = _wall(chest, x, y), _diaphragm(chest, x, y)
    heart = heart_of(chest, chest.heart * (1.05 if supine else 1.0), x, y)
    texture = physics.power_noise(patient, side, 2.2, 0.3, 4)
    vessels = _vessels(patient, side) * chest.markings
    depth = np.sqrt(np.clip(wall / 0.42, 0, 1)) * (chest.depth * 0.8)
    upper = chest.mediastinum - np.abs(x[:1]) + 0.03 * np.abs(y[:, :1])
    arch = ellipse(x, y, (chest.mediastinum + 0.025, -0.3), (chest.knob, chest.knob * 1.15))
    trunk = ellipse(x, y, (chest.mediastinum + 0.01, -0.12), (0.075, 0.1))
    middle = np.maximum(soft(upper, 0.06), np.maximum(soft(arch, 0.03), 0.7 * soft(trunk, 0.05)))
    filled = np.maximum(0.85 * middle, 0.72 * soft(heart, 0.035))
    gas = depth * soft(wall, 0.015) * soft(above, 0.03) * (1 - filled)
    airway = soft(0.04 - np.abs(x + 0.01), 0.03) * soft(-0.2 - y, 0.06)
    bubble = physics.chord(radius(x, y, (0.3, chest.domes[1] + 0.12), (chest.stomach * 1.5, chest.stomach)), 0.12)
    return Scene(
        chest=chest, x=x, y=y, wall=wall, above=above, heart=heart, body=_body(chest, x, y),
        gas=gas, density=ALVEOLI * (1 + 0.06 * texture), vessels=vessels,
        extra=_ribs(chest, x, y, wall) + _skeleton(chest, x, y, supine)
        - SOFT * (0.16 * airway + bubble * soft(-above, 0.04)),
    )  # fmt: skip
