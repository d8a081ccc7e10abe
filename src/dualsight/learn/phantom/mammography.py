"""Mammograms: fat and glandular tissue of a compressed breast, Beer and Lambert at about 20 keV.

Drawn for a left breast, chest wall at image left and nipple to the right; a right breast is mirrored, so
that image left is the patient's right when both hang side by side. Thicknesses are along the beam in
units of half the picture's height (about 12 cm).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dualsight.learn.phantom import physics
from dualsight.learn.phantom.base import Drawing, Modality, Side
from dualsight.learn.phantom.physics import Map, ellipse, soft

FAT, GLAND, CALCIUM = 5.4, 9.6, 120.0  # attenuation, 1 / unit
THICK = 0.42  # compressed


@dataclass(frozen=True, slots=True, kw_only=True)
class Breast:
    """One patient's anatomy."""

    left: bool
    depth: float  # chest wall to nipple
    height: float  # half of it, at the chest wall
    sag: float  # how far the nipple lies below the middle
    density: float  # share of glandular tissue, 0…1
    patchy: float  # how unevenly it is distributed
    spread: float  # extent of the gland
    muscle: float  # width of the pectoral muscle at the top in the oblique view
    muscle_end: float  # y of its lower end
    skin: float


def _breast(rng: np.random.Generator) -> Breast:
    """Anatomy as it varies among people."""
    return Breast(
        left=bool(rng.random() < 0.5),
        depth=rng.uniform(0.95, 1.45),
        height=rng.uniform(0.68, 0.92),
        sag=rng.uniform(-0.08, 0.12),
        density=rng.uniform(0.12, 0.6),
        patchy=rng.uniform(0.5, 1.0),
        spread=rng.uniform(0.6, 0.85),
        muscle=rng.uniform(0.35, 0.6),
        muscle_end=rng.uniform(0.05, 0.5),
        skin=rng.uniform(0.018, 0.03),
    )


@dataclass(slots=True, kw_only=True)
class Scene:
    """The compressed breast on a canvas."""

    breast: Breast
    x: Map
    y: Map
    inside: Map  # signed distance to the skin
    muscle: Map  # signed distance to the pectoral muscle
    thick: Map  # thickness
    gland: Map  # share of glandular tissue
    extra: Map  # attenuation beyond fat and gland
    nipple: tuple[float, float]

    def spot(self, rng: np.random.Generator, margin: float) -> tuple[float, float]:
        """A place for a finding inside the breast, before the muscle."""
        a = self.breast
        across, down = rng.uniform(0.25, 0.72), rng.uniform(-0.5, 0.5)
        x = -1.0 + margin * 0.5 + across * (a.depth - margin) * (1 - 0.5 * down**2)
        y = a.sag * across + down * a.height * (1 - 0.45 * across)
        return x, y


def _strands(breast: Breast, rng: np.random.Generator, side: int) -> Map:
    """Cooper's ligaments, ducts and vessels: thin bright lines, most of them towards the nipple."""
    lines: list[NDArray[np.float64]] = []
    widths: list[float] = []
    values: list[float] = []
    nipple = np.array([breast.depth - 1.0, breast.sag])
    t = np.linspace(0, 1, 8)[:, None]
    for _ in range(26):
        start = np.array([rng.uniform(-1.1, breast.depth - 1.25), rng.uniform(-1, 1) * breast.height])
        end = start + (nipple - start) * rng.uniform(0.3, 0.8) + rng.normal(0, 0.1, 2)
        bow = rng.normal(0, 0.1, 2) * np.sin(np.pi * t)
        lines.append(start + (end - start) * t + bow)
        widths.append(rng.uniform(0.008, 0.02))
        values.append(rng.uniform(0.15, 0.45))
    drawn = physics.strands(side, lines, widths, values)
    return ndimage.gaussian_filter(drawn, side / 250, truncate=3)


def _scene(breast: Breast, rng: np.random.Generator, oblique: bool, side: int) -> Scene:
    """Outline, muscle, glandular tissue."""
    x, y = physics.grid(side)
    coarse = physics.power_noise(rng, side, 3.0, 0.5, 6)
    other = physics.power_noise(rng, side, 3.0, 0.5, 3)  # the second view compresses other tissue together
    lines = _strands(breast, rng, side)
    texture = 0.75 * coarse + (-0.65 if oblique else 0.65) * other
    shift = 0.12 if oblique else 0.0
    u = (x + 1) / breast.depth
    v = (y - breast.sag * np.maximum(u, 0) - shift) / (breast.height + (0.1 if oblique else 0))
    rho = np.sqrt(np.square(np.maximum(u, 0)) + np.abs(v) ** 2.2)
    inside = (1 - rho) * (0.85 * breast.height)
    nipple = (breast.depth - 1.0, breast.sag + float(shift))
    bud = 0.045 - physics.norm(x - (nipple[0] + 0.005), y - nipple[1])
    inside = np.maximum(inside, bud)
    muscle: Map = (0.2 * breast.muscle - 0.1) - (x + 1)
    if oblique:  # the armpit's fold goes on to the upper edge
        fold = 0.5 * soft(-y - 0.3, 0.6) * breast.depth
        inside = np.maximum(inside, np.minimum(fold - (x + 1), -y))
        edge = breast.muscle * (breast.muscle_end - y) / (breast.muscle_end + 1)
        muscle = (edge - (x + 1) + 0.03 * np.sin(3 * y)) * 0.85
    thick = THICK * np.sqrt(np.clip(inside / 0.16, 0, 1))
    cone = (u - 0.5) / (0.6 * breast.spread), v / (0.85 * breast.spread)
    central = soft(1 - physics.norm(*cone), 0.9)
    gland = soft(texture * (0.5 * breast.patchy) + (breast.density - 0.35), 1.3)
    gland = gland * (0.12 + 0.88 * central) * soft(inside - 0.06, 0.06)
    gland = np.clip(gland * (0.4 + breast.density) + 0.05 * texture, 0, 1)
    return Scene(
        breast=breast, x=x, y=y, inside=inside, muscle=muscle, thick=thick,
        gland=gland + lines * 0.55 * soft(inside, 0.1), extra=np.zeros_like(x), nipple=nipple,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- findings

Region = NDArray[np.bool_]
Find = Callable[[Scene, np.random.Generator], Region]
"""find(scene, patient) → mask on the canvas; changes the scene."""


def _rays(scene: Scene, rng: np.random.Generator, at: tuple[float, float], inner: float, outer: float, n: int) -> Map:
    """Straight thin strands that leave a centre in all directions."""
    turns = np.linspace(0, 2 * np.pi, n, endpoint=False) + rng.normal(0, 0.12, n)
    lengths = rng.uniform(0.65, 1.0, n) * outer
    lines: list[NDArray[np.float64]] = []
    for turn, length in zip(turns, lengths, strict=True):
        way = np.array([np.cos(turn), np.sin(turn)])
        bend = np.array([-way[1], way[0]]) * rng.normal(0, 0.06) * length
        lines.append(np.array([at + way * inner, at + way * (inner + length) / 2 + bend, at + way * length]))
    drawn = physics.strands(len(scene.x), lines, [0.017] * n, [1.0] * n)
    fade = np.clip(1.25 - physics.norm(scene.x - at[0], scene.y - at[1]) / outer, 0, 1)
    return drawn * fade


def _spiculated(scene: Scene, rng: np.random.Generator) -> Region:
    """A dense irregular body with spicules."""
    size = rng.uniform(0.085, 0.15)
    at = scene.spot(rng, size)
    body = physics.blob(rng, scene.x, scene.y, at, size, 0.18)
    rays = _rays(scene, rng, at, 0.6 * size, 2.3 * size, int(rng.integers(13, 20)))
    core = soft(body, 0.05)
    scene.extra += rng.uniform(0.8, 1.1) * core + 0.6 * rays * (1 - core)
    return (body > 0) | (rays > 0.25)


def _circumscribed(scene: Scene, rng: np.random.Generator) -> Region:
    """A round or oval body with a sharp smooth border."""
    size = rng.uniform(0.1, 0.18)
    at = scene.spot(rng, size)
    rho = physics.radius(scene.x, scene.y, at, (size, size * rng.uniform(0.7, 1.0)), rng.uniform(0, np.pi))
    flat = np.sqrt(np.maximum(1 - rho**3, 0))
    halo = soft(0.2 - np.abs(rho - 1.12), 0.2)  # fat pushed aside
    scene.gland *= 1 - 0.6 * halo
    scene.extra += rng.uniform(0.7, 1.0) * flat
    return rho < 1


def _calcifications(scene: Scene, rng: np.random.Generator) -> Region:
    """A cluster of tiny grains of calcium."""
    extent, n = rng.uniform(0.1, 0.18), int(rng.integers(9, 20))
    at = np.array(scene.spot(rng, extent))
    mask = np.zeros(scene.x.shape, bool)
    for place, size in zip(rng.normal(0, 0.5, (n, 2)) * extent + at, rng.uniform(0.011, 0.02, n).tolist(), strict=True):
        grain = ellipse(scene.x, scene.y, tuple(place), (size, size * rng.uniform(0.6, 1)), rng.uniform(0, 3))
        scene.extra += (CALCIUM * 0.014) * soft(grain, 0.016)
        mask |= grain > -0.004
    return ndimage.binary_closing(mask, iterations=max(1, len(scene.x) // 48))


def _distortion(scene: Scene, rng: np.random.Generator) -> Region:
    """Lines that converge on a point where no mass is; tissue is drawn towards it."""
    extent = rng.uniform(0.28, 0.4)
    at = scene.spot(rng, extent * 0.5)
    rays = _rays(scene, rng, at, 0.02, extent, int(rng.integers(14, 20)))
    away = physics.norm(scene.x - at[0], scene.y - at[1])
    near = soft(extent - away, 0.2)
    scene.gland *= 1 - 0.35 * near
    scene.extra += 0.7 * rays * soft(scene.inside, 0.05)
    return (away < (0.8 * extent)) & (scene.inside > 0)


def _thickening(scene: Scene, rng: np.random.Generator) -> Region:
    """Skin several times as thick as usual over most of the breast, and oedema under it."""
    wide = rng.uniform(0.055, 0.1)
    shell = soft(scene.inside, 0.02) * soft(wide - scene.inside, 0.025)
    shell *= soft(scene.x + 0.85, 0.3) * (scene.muscle < 0)
    scene.extra += 1.1 * shell
    mesh = np.abs(physics.smooth_noise(rng, len(scene.x), 0.05))
    deep = soft(scene.inside - wide, 0.04) * np.exp(-scene.inside / 0.2)
    scene.extra += 0.6 * soft(0.25 - mesh, 0.3) * deep
    return shell > 0.5


FINDINGS: dict[str, Find] = {
    "spiculated mass": _spiculated,
    "circumscribed mass": _circumscribed,
    "calcifications": _calcifications,
    "architectural distortion": _distortion,
    "skin thickening": _thickening,
}


def _develop(scene: Scene, pose: physics.Pose, rng: np.random.Generator, size: int) -> Map:
    """Grey values: attenuation, quanta, focus, the logarithm, a window."""
    muscle = soft(scene.muscle, 0.03) * (scene.inside > 0)
    gland = scene.gland * (1 - muscle) + 0.72 * muscle
    skin = soft(scene.inside, 0.012) * soft(scene.breast.skin - scene.inside, 0.012)
    line = scene.thick * (FAT + (GLAND - FAT) * gland) + 0.5 * skin + scene.extra * (scene.inside > 0)
    quanta = rng.uniform(4e3, 2e4) * 8 * (128 / size) ** 0.5
    light = ndimage.gaussian_filter(pose.place(np.exp(-line), size), rng.uniform(0.2, 0.5) * size / 128, truncate=3)
    dense = -np.log(physics.counted(rng, light * quanta) / quanta)
    low, high = THICK * FAT * rng.uniform(0.1, 0.35), THICK * GLAND * rng.uniform(0.95, 1.08)
    shown = np.clip((dense - low) / (high - low), 0, 1.2)
    return np.tanh(1.3 * shown ** rng.uniform(1.3, 2.0)) * 1.08


def _label(rng: np.random.Generator, size: int) -> Map:
    """The radiographer's plate in an upper corner, away from the chest wall: a few bright bars."""
    x, y = rng.uniform(0.6, 0.8), rng.uniform(-0.92, -0.8)
    bars = [np.array([[x + 0.05 * i, y], [x + 0.05 * i, y + 0.07]]) * physics.REACH for i in range(3)]
    return physics.strands(size, bars, [0.02] * 3, [rng.uniform(0.5, 0.9)] * 3)


def draw_breast(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """One mammogram of one breast; see `base.Draw`."""
    breast = _breast(patient)
    scene = _scene(breast, patient, view == "mediolateral oblique", physics.canvas_side(size))
    pose = physics.Pose(
        angle=acquisition.normal(0, 0.03),
        zoom=acquisition.uniform(0.95, 1.06),
        x=abs(acquisition.normal(0, 0.02)) - 0.01,
        y=acquisition.normal(0, 0.03),
    )
    mask = np.zeros((size, size), bool)
    side: Side | None = None
    if finding is not None:
        found = FINDINGS[finding](scene, patient) & (scene.inside > -0.01)
        mask = pose.place_mask(found, size)
        side = "left" if breast.left else "right"
    shown = _develop(scene, pose, acquisition, size)
    label = _label(acquisition, size)
    if acquisition.random() < 0.6:
        shown = np.maximum(shown, label)
    pixels = physics.to_uint8(shown)
    if not breast.left:
        pixels, mask = np.ascontiguousarray(pixels[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    return Drawing(pixels=pixels, mask=mask, side=side)


MODALITIES: tuple[Modality, ...] = (
    Modality(
        name="mammography",
        anatomy="breast",
        views=("craniocaudal", "mediolateral oblique"),
        findings=tuple(FINDINGS),
        draw=draw_breast,
    ),
)
