"""Chest x-rays: line integrals of attenuation through a thorax, Beer and Lambert, scatter, quanta.

The anatomy, and the units, are those of `chest`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dualsight.learn.phantom import physics
from dualsight.learn.phantom.base import Drawing, Modality, Side
from dualsight.learn.phantom.chest import APEX, FLOOR, METAL, SOFT, Chest, Scene, anatomy, scene_of
from dualsight.learn.phantom.physics import Map, ellipse, radius, soft

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
    chest = anatomy(patient)
    ratio = patient.uniform(0.57, 0.68)
    sign = 1 if patient.random() < 0.5 else -1
    if finding == "cardiomegaly":
        chest = replace(chest, heart=ratio)
    scene = scene_of(chest, patient, view, physics.canvas_side(size))
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
