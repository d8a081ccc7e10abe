"""Axial brain MRI: tissues with relaxation times, made visible by the spin-echo equation.

Tissues are laid over each other with soft borders, which is the partial volume effect; the scanner then
sees the picture through its coil and a limited k-space. Coordinates as in `brain`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom import brain
from dualsight.learn.phantom.base import Drawing, Modality, Side
from dualsight.learn.phantom.brain import Head, Point, Space, folds, pushed, ventricles
from dualsight.learn.phantom.physics import Map, blob, ellipse, soft, to_uint8


@dataclass(frozen=True, slots=True)
class Tissue:
    """Proton density relative to water, and relaxation times in milliseconds, about those at 1.5 T."""

    density: float
    t1: float
    t2: float


SKIN = Tissue(0.7, 900, 40)
FAT = Tissue(0.9, 250, 80)
BONE = Tissue(0.08, 500, 20)
FLUID = Tissue(1.0, 4200, 1800)
GREY = Tissue(0.84, 1000, 100)
WHITE = Tissue(0.71, 620, 78)
NUCLEI = Tissue(0.80, 920, 86)
EDEMA = Tissue(0.90, 1400, 165)
TUMOR = Tissue(0.88, 1500, 150)
NECROSIS = Tissue(0.97, 2600, 420)
INFARCT = Tissue(0.92, 1700, 180)
PLAQUE = Tissue(0.92, 1700, 190)
EARLY_BLOOD = Tissue(0.85, 330, 32)  # methaemoglobin inside the cells: bright in T1, dark in T2
LATE_BLOOD = Tissue(0.95, 330, 230)  # outside the cells: bright in both
HEMOSIDERIN = Tissue(0.6, 900, 16)


@dataclass(frozen=True, slots=True)
class Sequence:
    """Times in milliseconds; an inversion time of 0 means no inversion."""

    repetition: float
    echo: float
    inversion: float
    bright: float  # what is displayed white, as a multiple of the signal of white matter

    def signal(self, tissue: Tissue) -> float:
        """Magnitude of the inversion-recovery spin-echo signal, 0…1; without inversion, of the plain one."""
        inverted, recovered = math.exp(-self.inversion / tissue.t1), math.exp(-self.repetition / tissue.t1)
        longitudinal = 1 - 2 * inverted + recovered  # recovered − 1 where the inversion time is 0
        return tissue.density * abs(longitudinal) * math.exp(-self.echo / tissue.t2)


SEQUENCES = {
    "axial t1": Sequence(520, 12, 0, 1.7),
    "axial t2": Sequence(4600, 96, 0, 2.9),
    "axial flair": Sequence(9000, 115, 2440, 2.7),  # this inversion time nulls FLUID
}


@dataclass(frozen=True, slots=True)
class Change:
    """What a finding does: other anatomy, displacement, and tissue [H, W] (0…1) over the normal one."""

    head: Head
    space: Space
    layers: tuple[tuple[Map, Tissue], ...]
    inside: Map  # positive where the finding is
    side: Side | None


def _which(rng: np.random.Generator) -> tuple[int, Side]:
    """Sign of x, and the patient's side: image left is the patient's right."""
    return (-1, "right") if rng.random() < 0.5 else (1, "left")


def _within(inside: Map, *limits: Map) -> Map:
    for limit in limits:
        inside = np.minimum(inside, limit)
    return inside


def _tumor(rng: np.random.Generator, head: Head, space: Space) -> Change:
    """Solid rim, often a necrotic core, and edema along the white matter; the brain is pushed away."""
    sign, side = _which(rng)
    radius, height = rng.uniform(0.11, 0.21), rng.uniform(-0.42, 0.42)
    centre = (sign * rng.uniform(0.24, 0.38) * (1 - 0.5 * abs(height)), height)
    space = pushed(space, centre, radius, rng.uniform(0.3, 0.6))
    surface = folds(head, space)
    solid = _within(blob(rng, space.x, space.y, centre, radius, 0.13), space.depth - head.subarachnoid)
    fingers = brain.field(head, space.x, space.y, 1.2)
    spread = solid + radius * rng.uniform(0.35, 0.8) * (1 + 0.6 * fingers)
    edema = _within(spread, surface - 0.7 * head.cortex)
    core = solid - radius * rng.uniform(0.3, 0.75) + 0.12 * radius * fingers
    layers = (
        (0.9 * soft(edema, 0.06), EDEMA),
        (soft(solid, 0.03), TUMOR),
        (soft(core, 0.05), NECROSIS),
    )
    return Change(head, space, layers, np.maximum(solid, edema), side)


def _infarct(rng: np.random.Generator, head: Head, space: Space) -> Change:
    """A wedge of one artery's territory, with its cortex; the swelling narrows the sulci."""
    sign, side = _which(rng)
    middle, posterior, anterior = (0.1, 0.5), (-0.75, 0.38), (0.95, 0.33)  # direction, half angle
    direction, half = (middle, middle, posterior, anterior)[int(rng.integers(4))]
    direction += rng.uniform(-0.2, 0.2)
    half *= rng.uniform(0.75, 1.15)
    p, q = sign * space.x - 0.13, space.y - 0.1 * math.sin(direction)
    noise = brain.field(head, space.x, space.y, 0.7)
    radius = np.sqrt(p * p + q * q)
    off = np.abs(np.arctan2(q, p) - direction)
    wedge = (half - off + 0.12 * noise) * np.maximum(radius, 0.05)
    wedge = np.minimum(wedge, radius - rng.uniform(0.08, 0.22) + 0.03 * noise)
    swollen = replace(head, sulcus=head.sulcus - 0.004)
    tissue = _within(folds(swollen, space) + np.float32(0.006), -ventricles(head, space))
    layer = np.minimum(soft(wedge, 0.05), soft(tissue, space.soft)) * np.float32(rng.uniform(0.85, 1.0))
    return Change(head, space, ((layer, INFARCT),), _within(wedge, tissue), side)


def _sclerosis(rng: np.random.Generator, head: Head, space: Space) -> Change:
    """Ovals that point away from the ventricles (Dawson's fingers), and some below the cortex; both sides."""
    inside = np.full_like(space.x, -1)
    for i in range(int(rng.integers(8, 16))):
        sign = 1 if i % 2 else -1
        angle = rng.uniform(-1.35, 1.35)
        long = rng.uniform(0.045, 0.09)
        wide = long * rng.uniform(0.5, 0.85)
        if head.above:
            base = (0.11 + 0.06 * abs(math.sin(angle)), 0.38 * math.sin(angle))
        elif i % 4 < 2:  # in front, beside the horns
            base, angle = (rng.uniform(0.16, 0.30), rng.uniform(0.22, 0.36)), abs(angle)
        else:  # behind, beside the atria
            base, angle = (rng.uniform(0.25, 0.29), rng.uniform(-0.38, -0.16)), 0.4 * angle
        out = long * rng.uniform(0.4, 1.0) if rng.random() < 0.75 else rng.uniform(0.12, 0.2)
        centre = (sign * (base[0] + out * math.cos(angle)), base[1] + out * math.sin(angle))
        oval = ellipse(space.x, space.y, centre, (long, wide), sign * angle)
        inside = np.maximum(inside, oval)
    inside = _within(inside, -ventricles(head, space), space.depth - np.float32(0.11))  # below the cortex
    return Change(head, space, ((soft(inside, 0.025), PLAQUE),), inside, None)


def _hydrocephalus(rng: np.random.Generator, head: Head, space: Space) -> Change:
    """Ventricles far too wide, sulci pressed shut, fluid that seeps into the white matter around."""
    large = replace(
        head,
        swelling=rng.uniform(0.05, 0.10),
        spread=head.spread * rng.uniform(1.15, 1.45),
        sulcus=0.001,
        subarachnoid=0.008,
    )
    inside = ventricles(large, space)
    seep = soft(inside + rng.uniform(0.02, 0.06), 0.07) * np.float32(rng.uniform(0.4, 0.9))
    return Change(large, space, ((seep, EDEMA), (soft(inside, space.soft), FLUID)), inside, None)


def _hemorrhage(rng: np.random.Generator, head: Head, space: Space) -> Change:
    """Subacute blood with a dark rim, deep or in a lobe."""
    sign, side = _which(rng)
    radius = rng.uniform(0.09, 0.18)
    if rng.random() < 0.5:
        centre: Point = (sign * rng.uniform(0.2, 0.3), rng.uniform(-0.12, 0.14))
    else:
        centre = (sign * rng.uniform(0.22, 0.34), (1 if rng.random() < 0.5 else -1) * rng.uniform(0.25, 0.42))
    space = pushed(space, centre, radius, rng.uniform(0.3, 0.5))
    clot = blob(rng, space.x, space.y, centre, radius, 0.13)
    clot = _within(clot, space.depth - head.subarachnoid)
    rim = clot + np.float32(0.018)
    edema = _within(clot + radius * rng.uniform(0.2, 0.45), folds(head, space))
    layers = (
        (0.8 * soft(edema, 0.06), EDEMA),
        (soft(rim, 0.025), HEMOSIDERIN),
        (soft(clot - 0.012, 0.025), EARLY_BLOOD if rng.random() < 0.5 else LATE_BLOOD),
    )
    return Change(head, space, layers, rim, side)


def _subdural(rng: np.random.Generator, head: Head, space: Space) -> Change:
    """A crescent of blood between skull and brain, which pushes the brain inwards and across the midline."""
    sign, side = _which(rng)
    thick, half = rng.uniform(0.07, 0.15), rng.uniform(0.7, 1.25)
    angle = space.angle if sign > 0 else np.arctan2(space.y, -space.x)
    off = (angle - rng.uniform(-0.35, 0.45)) / half
    crescent = thick * np.sqrt(np.clip(1 - off * off, 0, 1)) * (sign * space.x > 0.02)
    inside = np.where(crescent < 0.01, -1, np.minimum(crescent - space.depth, space.depth))
    shift = sign * thick * rng.uniform(0.5, 0.9) * np.exp(-((space.y / 0.6) ** 2))
    moved = space.u + shift * np.clip(space.depth / 0.3, 0, 1)
    depth = np.asarray(space.depth - crescent, np.float32)
    space = replace(space, u=np.asarray(moved, np.float32), depth=depth)
    blood = replace(LATE_BLOOD, t1=rng.uniform(320, 480), t2=rng.uniform(120, 260))
    return Change(head, space, ((soft(inside, space.soft), blood),), inside, side)


def _cyst(rng: np.random.Generator, head: Head, space: Space) -> Change:
    """A pocket of fluid against the skull."""
    sign, side = _which(rng)
    radius = rng.uniform(0.13, 0.23)
    angle = (0.35, 0.9, -0.8)[int(rng.integers(3))] + rng.uniform(-0.25, 0.25)
    reach = head.width - head.scalp - head.skull - radius * rng.uniform(0.35, 0.7)
    centre = (sign * reach * math.cos(angle), reach * 1.2 * math.sin(angle))
    space = pushed(space, centre, radius, rng.uniform(0.3, 0.5))
    inside = _within(blob(rng, space.x, space.y, centre, radius, 0.05), space.depth)
    return Change(head, space, ((soft(inside, space.soft), FLUID),), inside, side)


FINDINGS: dict[str, Callable[[np.random.Generator, Head, Space], Change]] = {
    "brain tumor": _tumor,
    "acute infarct": _infarct,
    "multiple sclerosis": _sclerosis,
    "hydrocephalus": _hydrocephalus,
    "intracranial hemorrhage": _hemorrhage,
    "subdural hematoma": _subdural,
    "arachnoid cyst": _cyst,
}


def _signal(change: Change, inner: Map, sequence: Sequence) -> Map:
    """The signal of every pixel: tissues over tissues. inner: distance inside the skull."""
    head, space = change.head, change.space
    width = space.soft
    cortex = folds(head, space)
    marrow = np.clip(1 - np.abs(inner + 0.5 * head.skull) / (0.3 * head.skull), 0, 1)
    skull = head.skull
    within = soft(inner, width)
    layers = [
        (soft(inner + (skull + head.scalp), width), SKIN),
        (soft(inner + (skull + head.scalp - 0.016), width), FAT),
        (soft(inner + skull, width), BONE),
        (0.45 * marrow, FAT),
        (within, FLUID),
        (soft(cortex, width), GREY),
        (soft(cortex - head.cortex, 0.03), WHITE),
        (0.85 * soft(brain.nuclei(head, space), 0.03), NUCLEI),
        (soft(ventricles(head, space), width), FLUID),
        *((membership * within, tissue) for membership, tissue in change.layers),
    ]
    signal = np.zeros_like(space.x)
    for membership, tissue in layers:
        signal += membership * (np.float32(sequence.signal(tissue)) - signal)
    return signal


def _scanned(acquisition: np.random.Generator, signal: Map, bright: float) -> NDArray[np.uint8]:
    """Coil sensitivity, limited k-space, motion ghost, Rician noise, and the display window."""
    size = len(signal)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    a = acquisition.normal(0, 0.10, 4).astype(np.float32)
    coil = np.exp(a[0] * ramp + a[2] * ramp**2) * np.exp(a[1] * ramp + a[3] * ramp**2)[:, None]
    spectrum = np.fft.rfft2(signal * coil)  # [H, W/2 + 1]
    cut, slope = acquisition.uniform(42, 64), acquisition.uniform(3, 9)  # cycles per picture
    frequency = np.abs(np.fft.fftfreq(size, 1 / size))
    keep = 1 / (1 + np.exp(np.clip((frequency - cut) / slope, -30, 30)))
    spectrum *= keep[:, None] * keep[: size // 2 + 1]
    ghost = acquisition.uniform(-0.36, 0.12)
    if ghost > 0:  # every second line of k-space is a little off: a faint copy half a picture away
        spectrum[::2] *= 1 + ghost
    noise = acquisition.uniform(0.006, 0.03) * bright
    grain = acquisition.standard_normal((2, size, size), dtype=np.float32) * np.float32(noise)
    real = np.fft.irfft2(spectrum, (size, size)) + grain[0]
    image = np.sqrt(real * real + grain[1] * grain[1])
    low = acquisition.uniform(0, 0.05)
    return to_uint8((image / (bright * acquisition.uniform(0.85, 1.15)) - low) / (1 - low))


def draw(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """An axial slice of a head; see `base.Draw`. `view` is one of SEQUENCES, `finding` one of FINDINGS."""
    head = brain.head(patient)
    lesion = np.random.default_rng(patient.integers(2**62))  # so that no finding changes the anatomy
    u, base = acquisition.uniform, SEQUENCES[view]
    sequence = replace(base, repetition=base.repetition * u(0.9, 1.1), echo=base.echo * u(0.9, 1.1))
    turn, zoom, shift = u(-0.12, 0.12), u(0.90, 1.04), (u(-0.03, 0.03), u(-0.03, 0.03))
    ramp = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    p, q = zoom * ramp - shift[0], (-zoom * ramp - shift[1])[:, None]
    c, s = math.cos(turn), math.sin(turn)
    x, y = np.asarray(c * p + s * q, np.float32), np.asarray(c * q - s * p, np.float32)  # [H, W]
    space = brain.space(head, x, y, soft=max(3.0 / size, 0.018))
    inner = space.depth
    if finding is None:
        change = Change(head, space, (), np.full_like(x, -1), None)
    else:
        change = FINDINGS[finding](lesion, head, space)
    pixels = _scanned(acquisition, _signal(change, inner, sequence), sequence.signal(WHITE) * base.bright)
    return Drawing(pixels=pixels, mask=(change.inside > 0) & (inner > 0), side=change.side)


MODALITIES = (Modality(name="mri", anatomy="brain", views=tuple(SEQUENCES), findings=tuple(FINDINGS), draw=draw),)
