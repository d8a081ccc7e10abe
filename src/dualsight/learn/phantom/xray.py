"""Chest x-rays: line integrals of attenuation through a thorax, Beer and Lambert, scatter, quanta.

Coordinates: x to the right (image right is the patient's left), y down; one unit is about 19 cm.
Thicknesses are along the beam in the same unit; attenuation is in 1 / unit at about 70 keV.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dualsight.learn.phantom import physics
from dualsight.learn.phantom.base import Drawing, Modality, Side
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


def _chest(rng: np.random.Generator) -> Chest:
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


def _heart(chest: Chest, ratio: float, x: Map, y: Map) -> Map:
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
    lines, widths = [], []
    for sign in (-1, 1):
        branches, thick = _tree(rng, sign)
        lines += branches
        widths += thick
    drawn = physics.strands(side, lines, widths, [1.6 * width for width in widths])
    return ndimage.gaussian_filter(drawn, side / 160, truncate=2.5)


def _scene(chest: Chest, patient: np.random.Generator, view: str, side: int) -> Scene:
    """The thorax in one view; an anteroposterior beam magnifies the heart."""
    supine = view == "anteroposterior"
    x, y = physics.grid(side)
    wall, above = _wall(chest, x, y), _diaphragm(chest, x, y)
    heart = _heart(chest, chest.heart * (1.05 if supine else 1.0), x, y)
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


# ---------------------------------------------------------------------------------------------- findings

Region = NDArray[np.bool_]
Find = Callable[[Scene, np.random.Generator, int], Region]
"""find(scene, patient, sign) → mask on the canvas; changes the scene; sign -1 is image left."""


def _pneumonia(scene: Scene, rng: np.random.Generator, sign: int) -> Region:
    """Alveoli full of fluid in a part of one lung, patchy and fuzzy at the edge."""
    chest = scene.chest
    y = rng.choice([-0.4, -0.05, chest.domes[sign > 0] - 0.14]) + rng.uniform(-0.06, 0.06)
    out = rng.uniform(0.32, 0.46) if y < 0.1 else rng.uniform(0.4, 0.52)
    area = physics.blob(rng, scene.x, scene.y, (sign * out, y), rng.uniform(0.17, 0.27), 0.16)
    patches = physics.smooth_noise(rng, len(scene.x), 0.07)
    filled = soft(area + 0.025 * patches, 0.14) * rng.uniform(0.6, 0.9)
    filled *= soft(scene.lung(sign), 0.03)
    scene.density += (1 - scene.density) * filled
    scene.vessels *= 1 - filled
    return filled > 0.3


def _effusion(scene: Scene, rng: np.random.Generator, sign: int) -> Region:
    """Fluid on one side's floor, whose surface climbs the wall."""
    level = scene.chest.domes[sign > 0] + rng.uniform(-0.38, 0.06)
    climb = rng.uniform(0.12, 0.25)
    near = np.exp(-np.maximum(scene.wall, 0) / 0.09)
    under = scene.y - level + climb * near
    cavity = soft(scene.wall, 0.015) * soft(scene.above, 0.03) * soft(scene.x * sign, 0.02)
    fluid = soft(under, 0.05) * cavity
    scene.gas *= 1 - 0.95 * fluid
    return (fluid > 0.5) & (scene.lung(sign) > 0)


def _pneumothorax(scene: Scene, rng: np.random.Generator, sign: int) -> Region:
    """Air between wall and lung, widest at the apex; the retracted lung's edge is a thin line."""
    gap, low = rng.uniform(0.12, 0.3), rng.uniform(0.35, 0.8)
    height = np.clip((scene.y - APEX) / (FLOOR - APEX), 0, 1)
    edge = scene.wall - gap * (1 - low * height)
    half = scene.x * sign > scene.chest.mediastinum
    free = soft(-edge, 0.012) * half
    scene.density *= 1 - 0.95 * free
    lung = (1 - free) * half
    scene.density += lung * (scene.gas > 0) * (0.12 * gap / 0.3)
    scene.vessels *= 1 - free
    pleura = np.exp(-np.square(edge / 0.008)) * half * soft(scene.lung(sign), 0.02)
    scene.extra += 0.3 * pleura
    return (free > 0.5) & (scene.lung(sign) > 0)


def _nodule(scene: Scene, rng: np.random.Generator, sign: int) -> Region:
    """One round body of soft tissue in the lung."""
    size = rng.uniform(0.07, 0.15)
    y = rng.uniform(-0.48, scene.chest.domes[sign > 0] - size - 0.02)
    low, high = scene.chest.mediastinum + 0.14, scene.chest.width * (0.62 if y < -0.3 else 0.82) - size
    if sign > 0 and y > 0:
        low = 0.42
    centre = (sign * rng.uniform(low, max(high, low + 0.01)), y)
    area = physics.blob(rng, scene.x, scene.y, centre, size, 0.06)
    scene.extra += (SOFT * 1.15) * np.sqrt(np.maximum(area, 0) * (4 * size))
    return area > 0


def _edema(scene: Scene, rng: np.random.Generator, sign: int) -> Region:
    """Fluid around both hila like wings of a bat, and wide vessels."""
    patches = physics.smooth_noise(rng, len(scene.x), 0.08)
    height, reach = rng.uniform(-0.08, 0.02), rng.uniform(0.26, 0.36)
    fullness = rng.uniform(0.45, 0.7)
    wings = np.zeros_like(scene.x)
    for s in (-1, 1):
        rho = radius(scene.x, scene.y, (s * 0.27, height), (reach, reach * 1.35), s * 0.25)
        wings = np.maximum(wings, soft(1 - rho + 0.13 * patches, 0.75) * soft(scene.lung(s), 0.03))
    filled = fullness * wings
    scene.density += (1 - scene.density) * filled
    scene.vessels *= 1 + wings
    return filled > 0.2


def _atelectasis(scene: Scene, rng: np.random.Generator, sign: int) -> Region:
    """Plates of airless lung above a dome."""
    mask = np.zeros(scene.x.shape, bool)
    dome = scene.chest.domes[sign > 0]
    inside = soft(scene.lung(sign), 0.03)
    for i in range(rng.integers(2, 4)):
        y = dome - 0.08 - 0.11 * i - rng.uniform(0, 0.04)
        centre = (sign * rng.uniform(0.36, 0.48), y)
        axes = (rng.uniform(0.15, 0.24), rng.uniform(0.024, 0.036))
        band = soft(ellipse(scene.x, scene.y, centre, axes, sign * rng.uniform(-0.15, 0.3)), 0.025) * inside
        scene.extra += rng.uniform(0.7, 1.0) * band
        mask |= band > 0.4
    return mask


def _devices(scene: Scene, rng: np.random.Generator, sign: int) -> Region:
    """A pacemaker and its leads, or a tracheal tube with a central venous line."""
    side = len(scene.x)
    t = np.linspace(0, 1, 24)[:, None]
    entry = np.array([sign * rng.uniform(0.3, 0.42), rng.uniform(-0.62, -0.54)])
    atrium = np.array([-0.12, rng.uniform(0.0, 0.1)])
    vein = np.array([-0.1, -0.42])
    bend = vein + np.array([sign * 0.06, -0.16])
    down = (1 - t) ** 3 * entry + 3 * (1 - t) ** 2 * t * bend + 3 * (1 - t) * t**2 * vein + t**3 * atrium
    paced, tubed = rng.random() < 0.6, rng.random() < 0.6
    apex = np.array([rng.uniform(0.2, 0.3), scene.chest.domes[1] - rng.uniform(0.06, 0.12)])
    loop = (1 - t) ** 2 * atrium + 2 * t * (1 - t) * np.array([-0.06, apex[1] + 0.05]) + t**2 * apex
    tip = rng.uniform(-0.34, -0.26)
    lines, widths, values = [down], [0.024], [1.6]
    mask = np.zeros(scene.x.shape, bool)
    if paced:
        lines, widths, values = [np.vstack([down, loop])], [0.024], [2.2]
        box = (entry[0] + sign * 0.1, entry[1] + 0.06)
        case = soft(1 - (radius(scene.x, scene.y, box, (0.11, 0.09), 0.2) ** 3), 0.2)
        scene.extra += (METAL * 0.035) * case
        mask |= case > 0.5
    if tubed or not paced:
        offset = np.array([0.022, 0.0])
        tube = np.array([[-0.005, -1.1], [-0.005, tip]])
        lines += [tube - offset, tube + offset]
        widths += [0.016, 0.016]
        values += [1.5, 1.5]
    drawn = physics.strands(side, lines, widths, values)
    scene.extra += drawn
    return mask | (drawn > 0.3)


FINDINGS: dict[str, tuple[Find, bool]] = {  # and whether it has a side
    "pneumonia": (_pneumonia, True),
    "pleural effusion": (_effusion, True),
    "pneumothorax": (_pneumothorax, True),
    "lung nodule": (_nodule, True),
    "atelectasis": (_atelectasis, True),
    "cardiomegaly": (lambda scene, _rng, _sign: scene.heart > 0, False),
    "pulmonary edema": (_edema, False),
    "support devices": (_devices, False),
}


def _detect(scene: Scene, rng: np.random.Generator, size: int) -> Map:
    """What the detector shows: primary and scattered quanta, noise, the logarithm, a window of it."""
    blood = np.minimum(scene.vessels, scene.gas) * soft(scene.gas, 0.3)
    line = SOFT * (scene.body - scene.gas * (1 - scene.density) + blood) + scene.extra
    primary = np.exp(-np.maximum(line, 0)).astype(np.float32)
    wide = max(3, size // 4)
    scattered = ndimage.uniform_filter(ndimage.uniform_filter(primary, wide, mode="nearest"), wide, mode="nearest")
    return primary + rng.uniform(0.04, 0.12) * scattered


def _develop(light: Map, chest: Chest, rng: np.random.Generator) -> Map:
    """Grey values of the light on the detector: quanta, focus, logarithm, and a window of it."""
    size = len(light)
    quanta = rng.uniform(6e3, 4e4) * (128 / size) ** 0.5
    sharp = ndimage.gaussian_filter(light, rng.uniform(0.25, 0.65) * size / 128, truncate=3)
    dense = -np.log(physics.counted(rng, sharp * quanta) / quanta)
    low = SOFT * chest.depth * rng.uniform(0.32, 0.4)
    high = SOFT * chest.depth * rng.uniform(0.92, 1.05)
    shown = np.clip((dense - low) / (high - low), 0, 1.15)
    return np.tanh(1.25 * shown ** rng.uniform(0.85, 1.2)) * 1.05


def _marker(rng: np.random.Generator, size: int) -> Map:
    """A letter of lead beside the shoulder, as radiographers lay it."""
    letter, out, height = rng.random() < 0.5, rng.uniform(0.72, 0.9), rng.uniform(-0.9, -0.75)
    right = [(0, 1), (0, 0), (0.5, 0), (0.6, 0.25), (0.5, 0.5), (0, 0.5), (0.6, 1)]
    left = [(0, 0), (0, 1), (0.6, 1)]
    stroke = np.array(right if letter else left) * 0.1 + (-out if letter else out - 0.06, height)
    return physics.strands(size, [stroke * physics.REACH], [0.02], [rng.uniform(0.5, 1.0)])


def draw_chest(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """One chest x-ray, bone white; see `base.Draw`."""
    chest = _chest(patient)
    ratio = patient.uniform(0.57, 0.68)
    sign = 1 if patient.random() < 0.5 else -1
    if finding == "cardiomegaly":
        chest = replace(chest, heart=ratio)
    scene = _scene(chest, patient, view, physics.canvas_side(size))
    mask = np.zeros((size, size), bool)
    side: Side | None = None
    pose = physics.Pose(
        angle=acquisition.normal(0, 0.03),
        zoom=acquisition.uniform(1.0, 1.12),
        x=acquisition.normal(0, 0.025),
        y=acquisition.normal(0, 0.025),
    )
    if finding is not None:
        find, lateral = FINDINGS[finding]
        mask = pose.place_mask(find(scene, patient, sign), size)
        side = ("left" if sign > 0 else "right") if lateral else None
    light = pose.place(_detect(scene, acquisition, size), size)
    shown = _develop(light, chest, acquisition)
    marker = _marker(acquisition, size)
    if acquisition.random() < 0.6:
        shown = np.maximum(shown, marker)
    return Drawing(pixels=physics.to_uint8(shown), mask=mask, side=side)


CHEST = Modality(
    name="x-ray",
    anatomy="chest",
    views=("anteroposterior", "posteroanterior"),
    findings=tuple(FINDINGS),
    draw=draw_chest,
)

MODALITIES: tuple[Modality, ...] = (CHEST,)
