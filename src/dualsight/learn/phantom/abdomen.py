"""The abdomen as CT sees it: one patient's organs in an axial slice, in Hounsfield units.

Coordinates: x to the right (image left is the patient's right, so the liver lies there), y down to the
back; one unit is about 19 cm. Organs are laid over each other with soft edges (partial volumes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dualsight.learn.phantom import physics
from dualsight.learn.phantom.physics import Map, ellipse, soft

AIR, GAS, FAT, MUSCLE, CALCIUM, MARROW, CORTEX = -1000, -850, -100, 58, 700, 210, 650  # HU
EDGE = 0.02

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Abdomen:
    """One patient's anatomy; lengths in units, densities in Hounsfield units."""

    width: float  # half the body
    height: float
    fat: float  # thickness under the skin
    liver: float  # size
    liver_hu: float
    spleen: float
    spleen_hu: float
    kidney: float
    kidney_hu: float
    aorta: float  # radius
    blood_hu: float
    spine_y: float
    level: float  # 0 at the stomach, 1 at the lower poles of the kidneys


def anatomy(rng: np.random.Generator) -> Abdomen:
    """Anatomy as it varies among people, in the portal venous phase or before it."""
    blood = rng.uniform(120, 190)
    width = rng.uniform(0.8, 0.93)
    height = width * rng.uniform(0.7, 0.8)
    return Abdomen(
        width=width,
        height=height,
        fat=rng.uniform(0.03, 0.1),
        liver=rng.uniform(0.92, 1.08),
        liver_hu=rng.uniform(90, 118),
        spleen=rng.uniform(0.85, 1.05),
        spleen_hu=rng.uniform(108, 128),
        kidney=rng.uniform(0.9, 1.08),
        kidney_hu=rng.uniform(150, 195),
        aorta=rng.uniform(0.05, 0.062),
        blood_hu=blood,
        spine_y=height * rng.uniform(0.36, 0.42),
        level=rng.uniform(0.0, 1.0),
    )


@dataclass(slots=True, kw_only=True)
class Slice:
    """Hounsfield units on a canvas, and where things are: signed distances, positive inside."""

    body: Abdomen
    x: Map
    y: Map
    hu: Map
    cavity: Map
    liver: Map
    spleen: Map
    kidneys: tuple[Map, Map]  # at image left and right
    aorta: Point
    hila: tuple[Point, Point]
    fine: Map  # textures of the patient's tissues, correlated over 0.04, 0.09 and 0.22
    middle: Map
    coarse: Map

    def near(self, centre: Point, reach: float) -> Slice:
        """The part around a place, sharing memory with the whole: what is filled there is filled here."""
        n = len(self.x)
        column, row = ((np.array(centre) / physics.REACH + 1) / 2 * n).tolist()
        half = reach / physics.REACH / 2 * n + 2
        part = (
            slice(max(0, int(row - half)), max(1, int(row + half) + 1)),
            slice(max(0, int(column - half)), max(1, int(column + half) + 1)),
        )
        maps = ("x", "y", "hu", "cavity", "liver", "spleen", "fine", "middle", "coarse")
        left, right = self.kidneys
        return replace(self, kidneys=(left[part], right[part]), **{name: getattr(self, name)[part] for name in maps})

    def fill(self, region: Map, hu: float | Map) -> None:
        """Lays tissue over what is there; region 0…1."""
        self.hu += region * (hu - self.hu)


def fill_trunk(s: Slice) -> None:
    """Skin, fat, the muscles of the wall and the back."""
    a, x, y = s.body, s.x, s.y
    furrow = 0.035 * np.exp(-np.square(x[0] / 0.1))
    skin = ellipse(x, y, (0, 0), (a.width, a.height)) - furrow * (y > 0)
    s.fill(soft(skin, EDGE), 40.0)
    s.fill(soft(skin - 0.015, EDGE), FAT + 6 * s.middle)
    s.fill(soft(s.cavity + 0.055, EDGE), MUSCLE)
    s.fill(soft(0.005 - np.abs(s.cavity + 0.03), 0.01), -10.0)  # between two muscles
    out = np.abs(x)
    s.fill(soft(ellipse(out, y, (0.16, a.spine_y + 0.17), (0.16, 0.085), 0.1), 0.03), MUSCLE + 8 * s.fine)
    s.fill(soft(s.cavity, EDGE), FAT + 8 * s.middle)


def fill_spine(s: Slice, rng: np.random.Generator) -> None:
    """Vertebra, psoas, ribs."""
    a = s.body
    spine = s.near((0, a.spine_y + 0.08), 0.3)
    x, y, out = spine.x, spine.y, np.abs(spine.x)
    spine.fill(soft(ellipse(out, y, (0.15, a.spine_y + 0.03), (0.05 + 0.04 * a.level, 0.085)), EDGE), MUSCLE)
    vertebra = ellipse(x, y, (0, a.spine_y), (0.125, 0.095))
    back = y - (a.spine_y + 0.115)
    process = np.minimum(0.026 - out, np.minimum(back, 0.12 - back))
    wings = ellipse(out, back, (0.13, 0.0), (0.09, 0.024), 0.2)
    arch = 0.026 - np.abs(physics.norm(x, back) - 0.065)
    spine.fill(soft(np.maximum(np.maximum(vertebra, process), np.maximum(wings, arch)), EDGE), CORTEX)
    spine.fill(soft(vertebra - 0.018, EDGE), MARROW + 30 * spine.fine)
    spine.fill(soft(0.045 - physics.norm(x, back), EDGE), 30.0)
    turns = np.array([0.95, 1.35, 1.8, 2.3]) + rng.uniform(-0.12, 0.12, 4)  # from the back to the front
    for turn in turns[: 4 - round(2 * a.level)].tolist():
        for sign in (-1, 1):
            inset = a.fat + 0.05
            place = sign * (a.width - inset) * np.sin(turn), (a.height - inset) * np.cos(turn)
            part = s.near(place, 0.07)
            rib = ellipse(part.x, part.y, place, (0.05, 0.02), sign * (1.25 - turn) - 1.2 * sign)
            part.fill(soft(rib, 0.015), CORTEX)
            part.fill(soft(rib - 0.011, 0.012), MARROW)


def loop(s: Slice, rng: np.random.Generator, centre: Point, size: float, gas: float, content: float) -> Map:
    """One loop of bowel: a wall around gas over fluid; gas: height of the surface, -1 … 1. Signed distance."""
    loop = np.minimum(physics.blob(rng, s.x, s.y, centre, size, 0.09), np.minimum(s.cavity, -s.liver) - 0.01)
    s.fill(soft(loop, EDGE), 90.0)
    lumen = soft(loop - 0.015, EDGE)
    s.fill(lumen, content)
    s.fill(lumen * soft((centre[1] + gas * size) - s.y, 0.012), GAS)
    return loop


def fill_bowel(s: Slice, rng: np.random.Generator) -> None:
    """Stomach and loops of bowel."""
    a = s.body
    places = [(0.3, -0.3), (0.02, -0.34), (0.16, -0.12), (0.38, -0.08), (-0.12, -0.14), (-0.3, 0.0), (0.52, 0.04)]
    for i, (u, v) in enumerate(places):
        size = rng.uniform(0.07, 0.1) * (1.75 - 0.6 * a.level if i == 0 else 1.0)
        centre = ((u + rng.uniform(-0.03, 0.03)) * a.width / 0.8, (v + rng.uniform(-0.03, 0.03)) * a.height / 0.6)
        loop(s.near(centre, 1.5 * size), rng, centre, size, rng.uniform(-1.1, 0.4), rng.uniform(5, 90))


def fill_organs(s: Slice, rng: np.random.Generator) -> None:
    """Liver with its vessels, gall bladder, spleen, pancreas, kidneys, great vessels."""
    a = s.body
    part = s.near((0.08, a.spine_y - 0.27), 0.27)
    pancreas = ellipse(part.x, part.y, (0.08, a.spine_y - 0.27), (0.24, 0.04), -0.25)
    part.fill(soft(pancreas + 0.008 * part.fine, EDGE) * (1 - 0.7 * a.level), 88.0)
    grain = 3 * s.middle
    inside = soft(s.liver, EDGE)
    s.fill(inside, a.liver_hu + grain)
    tree = np.abs(s.coarse) + 0.9 * soft(0.03 - s.liver, 0.06)
    s.fill(inside * soft(0.1 - tree, 0.1) * 0.8, a.blood_hu)
    gall = (-0.22 * a.width / 0.8, -0.1)
    part = s.near(gall, 0.1)
    part.fill(soft(ellipse(part.x, part.y, gall, (0.055, 0.08), 0.4), EDGE) * float(0.35 < a.level < 0.75), 10.0)
    s.fill(soft(s.spleen, EDGE), a.spleen_hu + grain)
    for i, sign in enumerate((-1, 1)):
        x, y = s.hila[i][0] - sign * 0.03, s.hila[i][1] - 0.015
        part = s.near((x + sign * 0.08, y), 0.22)
        kidney = part.kidneys[i]
        part.fill(soft(kidney, EDGE), a.kidney_hu)
        part.fill(soft(kidney - 0.035 + 0.012 * part.fine, 0.02), a.kidney_hu - 45)
        part.fill(soft(ellipse(part.x, part.y, (x, y), (0.065, 0.04), -sign * 0.4), 0.03), -50.0)
        part.fill(soft(ellipse(part.x, part.y, (x, y), (0.035, 0.013)), EDGE), 25.0)
    wide = rng.uniform(1.0, 1.4)
    cava = (-0.11 + rng.uniform(-0.01, 0.01), a.spine_y - 0.13)
    part = s.near((0, a.spine_y - 0.13), 0.2)
    part.fill(soft(ellipse(part.x, part.y, cava, (0.055 * wide, 0.055 / wide)), EDGE), a.blood_hu - 15)
    part.fill(soft(ellipse(part.x, part.y, s.aorta, (a.aorta, a.aorta)), EDGE), a.blood_hu)


def layout(a: Abdomen, rng: np.random.Generator, side: int) -> Slice:
    """Where organs lie in this patient; nothing filled yet."""
    x, y = physics.grid(side)
    inner = (a.width - a.fat - 0.075, a.height - a.fat - 0.075)
    cavity = (1 - physics.radius(x, y, (0, -0.02), inner)) * inner[1]
    big = a.liver * (1 - 0.38 * a.level)
    right = ellipse(x, y, (-0.5 * inner[0], -0.12 * inner[1]), (0.52 * big * inner[0], 0.8 * big * inner[1]), 0.12)
    left = ellipse(x, y, (-0.1, -0.6 * inner[1]), (0.42 * big * inner[0], 0.3 * big * inner[1]), -0.1)
    fine, middle, coarse = (physics.smooth_noise(rng, side, scale) for scale in (0.04, 0.09, 0.22))
    liver = np.minimum(np.maximum(right, left) + 0.022 * coarse, cavity - 0.008)
    hollow = physics.norm(x + 0.05, (y - (a.spine_y - 0.02)) * 0.9) - 0.25
    liver = np.minimum(liver, hollow)
    big = a.spleen * (1 - 0.3 * a.level)
    spleen = ellipse(x, y, (0.78 * inner[0], 0.22 * inner[1]), (0.15 * big, 0.27 * big), 0.3)
    dent = physics.norm(x - (0.78 * inner[0] - 0.28 * big), y - (0.1 * inner[1])) - 0.17
    spleen = np.minimum(np.minimum(spleen + 0.012 * coarse, dent), cavity - 0.012)
    kidneys: list[Map] = []
    hila: list[tuple[float, float]] = []
    for sign in (-1, 1):
        size = a.kidney * rng.uniform(0.92, 1.05)
        centre = (sign * (0.36 + rng.uniform(0, 0.03)) * a.width / 0.8, a.spine_y + rng.uniform(-0.05, 0.0))
        outline = ellipse(x, y, centre, (0.105 * size, 0.15 * size), sign * 0.5)
        notch = (centre[0] - sign * 0.075, centre[1] - 0.035)
        dent = physics.norm(x - (notch[0] + sign * -0.03), y - notch[1]) - 0.05
        kidneys.append(np.minimum(np.minimum(outline, dent), cavity - 0.01))
        hila.append((centre[0] - sign * 0.03, centre[1] - 0.01))
    for kidney in kidneys:
        liver = np.minimum(liver, -kidney - 0.02)
        spleen = np.minimum(spleen, -kidney - 0.02)
    return Slice(
        body=a, x=x, y=y, hu=np.full_like(x, AIR), cavity=cavity, liver=liver, spleen=spleen,
        kidneys=(kidneys[0], kidneys[1]), aorta=(0.04 + rng.uniform(-0.02, 0.02), a.spine_y - 0.105 - a.aorta),
        hila=(hila[0], hila[1]), fine=fine, middle=middle, coarse=coarse,
    )  # fmt: skip
