"""Axial CT of the abdomen: Hounsfield units of organs, noise as filtered back projection leaves it, a window.

The anatomy, and the units, are those of `abdomen`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from dualsight.learn.phantom import physics
from dualsight.learn.phantom.abdomen import (
    CALCIUM,
    EDGE,
    Slice,
    anatomy,
    fill_bowel,
    fill_organs,
    fill_spine,
    fill_trunk,
    layout,
    loop,
)
from dualsight.learn.phantom.base import Drawing, Modality, Side
from dualsight.learn.phantom.physics import Map, ellipse, soft

Region = NDArray[np.bool_]
Find = Callable[[Slice, np.random.Generator, int], Region]
"""find(slice, patient, sign) → mask on the canvas; changes the slice; sign -1 is image left."""


def _liver_lesion(s: Slice, rng: np.random.Generator, sign: int) -> Region:
    """One to four round, less enhancing bodies in the liver."""
    mask = np.zeros(s.x.shape, bool)
    hu, ring = rng.uniform(20, 55), rng.uniform(0, 25)
    deep = s.liver > 0.05
    column, row = s.x[deep], s.y[deep]
    for i in range(rng.integers(1, 5)):
        at = int(rng.random() * len(column))
        size = rng.uniform(0.05, 0.13) if i == 0 else rng.uniform(0.035, 0.07)
        lesion = physics.blob(rng, s.x, s.y, (float(column[at]), float(row[at])), size, 0.1)
        lesion = np.minimum(lesion, s.liver)
        s.fill(soft(lesion, 0.025), hu + ring)
        s.fill(soft(lesion - (0.3 * size), 0.03), hu)
        mask |= lesion > 0
    return mask


def _renal_cyst(s: Slice, rng: np.random.Generator, sign: int) -> Region:
    """A round body of water that bulges out of one kidney."""
    hilum = s.hila[sign > 0]
    size, turn = rng.uniform(0.06, 0.115), rng.uniform(-0.9, 0.9)
    reach = 0.1 + 0.35 * size
    centre = (hilum[0] + sign * (0.03 + reach * np.cos(turn)), hilum[1] + reach * np.sin(turn))
    cyst = np.minimum(ellipse(s.x, s.y, centre, (size, size)), s.cavity)
    s.fill(soft(cyst + 0.006, EDGE), 60.0)
    s.fill(soft(cyst, EDGE), rng.uniform(0, 14))
    return cyst > 0


def _kidney_stone(s: Slice, rng: np.random.Generator, sign: int) -> Region:
    """One to three stones in the hollow of one kidney."""
    hilum = s.hila[sign > 0]
    mask = np.zeros(s.x.shape, bool)
    for i in range(rng.integers(1, 4)):
        size = rng.uniform(0.024, 0.04) if i == 0 else rng.uniform(0.016, 0.024)
        spread = 0.0 if i == 0 else 0.07
        centre = (
            hilum[0] + rng.uniform(-0.02, 0.02),
            hilum[1] + rng.uniform(-0.02, 0.02) + spread * rng.choice([-1, 1]),
        )
        stone = physics.blob(rng, s.x, s.y, centre, size, 0.15)
        s.fill(soft(stone, 0.015), rng.uniform(700, 1300))
        mask |= stone > 0
    return mask


def _hydronephrosis(s: Slice, rng: np.random.Generator, sign: int) -> Region:
    """The pelvis and calices of one kidney wide and full of urine, the rim thin."""
    hilum = s.hila[sign > 0]
    wide = rng.uniform(0.9, 1.3)
    pelvis = ellipse(s.x, s.y, (hilum[0] - sign * 0.05, hilum[1] - 0.02), (0.09 * wide, 0.05 * wide), sign * 0.45)
    for turn in (-1.1, -0.1, 0.9):
        centre = (hilum[0] + sign * 0.05 * math.cos(turn), hilum[1] + 0.085 * math.sin(turn))
        pelvis = np.maximum(pelvis, ellipse(s.x, s.y, centre, (0.036 * wide, 0.036 * wide)))
    pelvis = np.minimum(pelvis, s.cavity)
    s.fill(soft(pelvis, 0.025), rng.uniform(2, 14))
    return pelvis > 0


def _ascites(s: Slice, rng: np.random.Generator, sign: int) -> Region:
    """Free fluid around liver and spleen and between the loops."""
    gap = rng.uniform(0.05, 0.11)
    wave = physics.smooth_noise(rng, len(s.x), 0.2)
    lateral = soft(np.abs(s.x) - 0.2, 0.3)
    rim = soft(gap * (0.35 + 0.65 * lateral) + 0.018 * wave - s.cavity, 0.03)
    front = soft((s.body.spine_y - 0.02) - s.y, 0.15) * rim
    between = (s.hu < -40) & (s.hu > -200)
    pool = soft(wave - rng.uniform(-0.5, 0.4), 0.5) * soft(0.1 - s.y, 0.1)
    fluid = np.maximum(front, pool * between) * soft(s.cavity, EDGE)
    s.fill(fluid, rng.uniform(2, 15))
    return fluid > 0.5


def _aneurysm(s: Slice, rng: np.random.Generator, sign: int) -> Region:
    """A wide aorta: clot along the wall, a round lumen, calcium in the wall."""
    r = rng.uniform(0.125, 0.19)
    centre = (s.aorta[0] + 0.02, s.aorta[1] - r + s.body.aorta)
    sac = physics.blob(rng, s.x, s.y, centre, r, 0.05)
    s.fill(soft(sac, EDGE), 48.0)
    lumen = r * rng.uniform(0.5, 0.72)
    shift, turn = (r - lumen) * 0.7, rng.uniform(0, 2 * np.pi)
    inside = (centre[0] + shift * math.cos(turn), centre[1] + shift * math.sin(turn))
    s.fill(soft(ellipse(s.x, s.y, inside, (lumen, lumen)), EDGE), s.body.blood_hu)
    around = np.cos(3 * np.arctan2(s.y - centre[1], s.x - centre[0]) + rng.uniform(0, 6))
    s.fill(soft(0.008 - np.abs(sac - 0.008), 0.01) * soft(around - 0.2, 0.3), CALCIUM)
    return sac > 0


def _obstruction(s: Slice, rng: np.random.Generator, sign: int) -> Region:
    """Wide loops of bowel with levels of gas over fluid."""
    a, mask = s.body, np.zeros(s.x.shape, bool)
    for u, v in [(-0.16, -0.3), (0.2, -0.32), (0.48, -0.16), (0.1, -0.06), (-0.22, -0.02)]:
        centre = ((u + rng.uniform(-0.03, 0.03)) * a.width / 0.8, (v + rng.uniform(-0.03, 0.03)) * a.height / 0.6)
        size = rng.uniform(0.125, 0.165)
        mask |= loop(s, rng, centre, size, rng.uniform(-0.25, 0.3), rng.uniform(8, 25)) > 0
    return mask


def _splenomegaly(s: Slice, rng: np.random.Generator, sign: int) -> Region:
    """The spleen, already drawn large."""
    return s.spleen > 0


FINDINGS: dict[str, tuple[Find, bool]] = {  # and whether it has a side
    "liver lesion": (_liver_lesion, False),
    "renal cyst": (_renal_cyst, True),
    "kidney stone": (_kidney_stone, True),
    "hydronephrosis": (_hydronephrosis, True),
    "ascites": (_ascites, False),
    "abdominal aortic aneurysm": (_aneurysm, False),
    "bowel obstruction": (_obstruction, False),
    "splenomegaly": (_splenomegaly, False),
}


def _reconstruction_noise(rng: np.random.Generator, size: int) -> Map:
    """Noise of variance 1 whose spectrum rises with frequency and is then rolled off (a ramp, apodised)."""
    along = fft.fftfreq(size)[:, None].astype(np.float32)
    f = physics.norm(along, fft.rfftfreq(size)[None, :].astype(np.float32)) * (size / 128)
    transfer = np.sqrt(f) * np.exp(-np.square(f / 0.3))
    white = rng.standard_normal((size, size), dtype=np.float32)
    noise = fft.irfft2(fft.rfft2(white) * transfer, s=(size, size))
    return noise / noise.std()


def _display(hu: Map, rng: np.random.Generator) -> Map:
    """Soft-tissue window of a slice with noise: grey values."""
    size = len(hu)
    hu = ndimage.gaussian_filter(hu, rng.uniform(0.3, 0.75) * size / 128, truncate=3)
    hu = hu + rng.uniform(5, 16) * _reconstruction_noise(rng, size)
    width, level = rng.uniform(320, 440), rng.uniform(35, 70)
    return (hu - (level - width / 2)) / width


def _table(hu: Map, rng: np.random.Generator) -> None:
    """The scanner's table under the back: a thin curved shell."""
    size = len(hu)
    line = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    top = rng.uniform(0.82, 0.95) - rng.uniform(0.02, 0.12) * np.square(line)
    off = np.abs(line[:, None] - top[None, :])
    np.maximum(hu, -1000 + 900 * soft(0.012 - off, 0.02), out=hu)


def draw_abdomen(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """One axial slice in a soft-tissue window; see `base.Draw`."""
    body = anatomy(patient)
    swelling = patient.uniform(1.55, 2.0)
    sign = 1 if patient.random() < 0.5 else -1
    if finding == "splenomegaly":
        body = replace(body, spleen=swelling)
    s = layout(body, patient, physics.canvas_side(size))
    fill_trunk(s)
    fill_spine(s, patient)
    fill_bowel(s, patient)
    fill_organs(s, patient)
    pose = physics.Pose(
        angle=acquisition.normal(0, 0.035),
        zoom=acquisition.uniform(0.95, 1.1) * 0.93 / body.width,  # the field of view fits the patient
        x=acquisition.normal(0, 0.02),
        y=acquisition.normal(0, 0.02),
    )
    mask = np.zeros((size, size), bool)
    side: Side | None = None
    if finding is not None:
        find, lateral = FINDINGS[finding]
        mask = pose.place_mask(find(s, patient, sign), size)
        side = ("left" if sign > 0 else "right") if lateral else None
    hu = pose.place(s.hu, size)
    _table(hu, acquisition)
    return Drawing(pixels=physics.to_uint8(_display(hu, acquisition)), mask=mask, side=side)


MODALITIES: tuple[Modality, ...] = (
    Modality(name="ct", anatomy="abdomen", views=("axial",), findings=tuple(FINDINGS), draw=draw_abdomen),
)
