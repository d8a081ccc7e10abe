"""Axial brain MRI: tissues with relaxation times, made visible by the spin-echo equation.

Memberships of tissues (head, skull, fluid, folded cortex, white matter, nuclei, ventricles) are laid over
each other with soft borders, which is the partial volume effect. Coordinates: x right, y up (anterior),
the picture spans −1…1, one unit is about 107 mm; image left (x < 0) is the patient's right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom.base import Drawing, Modality, Side

Map = NDArray[np.float32]  # [H, W]


@dataclass(frozen=True, slots=True)
class Tissue:
    """Proton density relative to water, and relaxation times in milliseconds at 1.5 T."""

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
EDEMA = Tissue(0.90, 1250, 165)
TUMOR = Tissue(0.88, 1350, 150)
NECROSIS = Tissue(0.97, 2300, 420)
INFARCT = Tissue(0.92, 1500, 175)
PLAQUE = Tissue(0.92, 1450, 185)
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
        """Magnitude of the (inversion recovery) spin-echo signal, 0…1."""
        recovery = 1 - 2 * np.exp(-self.inversion / tissue.t1) if self.inversion else 1.0
        sign = 1 if self.inversion else -1
        longitudinal = recovery + sign * np.exp(-self.repetition / tissue.t1)
        return float(tissue.density * abs(longitudinal) * np.exp(-self.echo / tissue.t2))


SEQUENCES = {
    "axial t1": Sequence(520, 12, 0, 1.7),
    "axial t2": Sequence(4600, 96, 0, 2.9),
    "axial flair": Sequence(9000, 115, 2440, 2.7),
}


@dataclass(frozen=True, slots=True)
class Head:
    """One patient's anatomy."""

    width: float
    height: float
    egg: float  # how much wider behind than in front
    scalp: float
    skull: float
    subarachnoid: float
    cortex: float
    sulcus: float  # half width of a sulcus
    sulci: int
    waves: NDArray[np.float64]  # [8, 4]: frequency in x and y, phase, amplitude, of the folding
    ventricle: float  # scale of the ventricles' radii
    swelling: float  # added to these radii
    spread: float  # scale of the ventricles' distance from the midline
    above: bool  # the slice is above the basal ganglia
    nuclei: float


@dataclass(frozen=True, slots=True)
class Space:
    """Where each pixel is: in the head (x, y) and, displaced by a finding, in the brain (u, v)."""

    x: Map
    y: Map
    u: Map
    v: Map
    depth: Map  # below the inner table of the skull
    soft: float  # width of a partial volume border


@dataclass(frozen=True, slots=True)
class Change:
    """What a finding does: displacement, other anatomy, and layers of tissue over the normal ones."""

    head: Head
    space: Space
    layers: tuple[tuple[Map, Tissue], ...]
    mask: Map
    side: Side | None
    beneath: bool = False  # layers lie outside the brain's surface: they are cut by the skull only


def _head(patient: np.random.Generator) -> Head:
    uniform = patient.uniform
    waves = np.stack(
        [
            uniform(-16, 16, 8),
            uniform(-16, 16, 8),
            uniform(0, 2 * np.pi, 8),
            uniform(0.3, 0.8, 8),
        ],
        axis=1,
    )  # [8, 4]
    return Head(
        width=uniform(0.66, 0.74),
        height=uniform(0.80, 0.90),
        egg=uniform(0.02, 0.12),
        scalp=uniform(0.045, 0.08),
        skull=uniform(0.05, 0.075),
        subarachnoid=uniform(0.012, 0.03),
        cortex=uniform(0.034, 0.046),
        sulcus=uniform(0.004, 0.013),
        sulci=int(patient.integers(24, 34)),
        waves=waves,
        ventricle=uniform(0.75, 1.3),
        swelling=0.0,
        spread=uniform(0.9, 1.1),
        above=bool(patient.random() < 0.35),
        nuclei=uniform(0.9, 1.1),
    )


def _step(distance: Map, soft: float) -> Map:
    """0 outside, 1 inside, with a border of width `soft` around distance 0."""
    return np.clip(distance / np.float32(soft) + np.float32(0.5), 0, 1)


def _capsule(x: Map, y: Map, start: tuple[float, float], end: tuple[float, float], r0: float, r1: float) -> Map:
    """Distance inside (positive) a segment whose radius goes from r0 to r1."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return r0 + (r1 - r0) * along - np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)


def _ellipse(x: Map, y: Map, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Map:
    """Distance inside an ellipse, about; `angle` in radians, counter-clockwise."""
    c, s = math.cos(angle), math.sin(angle)
    p, q = x - centre[0], y - centre[1]
    return (1 - np.hypot((c * p + s * q) / radii[0], (c * q - s * p) / radii[1])) * min(radii)


def _waves(x: Map, y: Map, waves: NDArray[np.float64]) -> Map:
    """A smooth random field, about −1…1."""
    total = np.zeros_like(x)
    for a, b, phase, amplitude in waves.astype(np.float32):
        total += amplitude * np.sin(a * x + b * y + phase)
    return total / np.float32(np.sqrt(len(waves)))


def _ventricles(head: Head, x: Map, y: Map) -> Map:
    """Distance inside the ventricles; both halves at once, by symmetry."""
    k, more, far = head.ventricle, head.swelling, head.spread
    side = np.abs(x)
    if head.above:
        front = _capsule(side, y, (0.10 * far, 0.30), (0.065 * far, 0.02), 0.034 * k + more, 0.030 * k + more)
        back = _capsule(side, y, (0.065 * far, 0.02), (0.19 * far, -0.36), 0.030 * k + more, 0.045 * k + 1.2 * more)
        inside = np.maximum(front, back)
    else:
        horn = _capsule(side, y, (0.035, 0.14), (0.115 * far, 0.33), 0.016 * k + 0.6 * more, 0.034 * k + more)
        atrium = _capsule(
            side, y, (0.23 * far, -0.26), (0.25 * far, -0.46), 0.036 * k + 1.1 * more, 0.02 * k + 0.8 * more
        )
        third = _capsule(x, y, (0, 0.05), (0, -0.12), 0.013 * k + 0.35 * more, 0.013 * k + 0.35 * more)
        inside = np.maximum(np.maximum(horn, atrium), third)
    return np.minimum(inside, side - 0.008) if not head.above else np.minimum(inside, side - 0.010)


def _nuclei(head: Head, x: Map, y: Map) -> Map:
    """Distance inside caudate, lentiform nucleus and thalamus."""
    side, k = np.abs(x), head.nuclei
    if head.above:
        return _ellipse(side, y, (0.15 * head.spread + head.swelling, 0.12), (0.035 * k, 0.17 * k), 0.05)
    caudate = _ellipse(side, y, (0.165 + head.swelling, 0.26), (0.045 * k, 0.085 * k), -0.35)
    lentiform = _ellipse(side, y, (0.275, 0.085), (0.062 * k, 0.16 * k), 0.3)
    thalamus = _ellipse(side, y, (0.115, -0.09), (0.08 * k, 0.13 * k), 0.45)
    return np.maximum(np.maximum(caudate, lentiform), thalamus)


def _folds(head: Head, space: Space) -> Map:
    """Distance from the brain's outer surface into it: from the convexity, the sulci and the fissures."""
    x, y = space.u, space.v
    field = _waves(x, y, head.waves)
    angle = np.arctan2(y, x)
    radius = np.hypot(x, y)
    surface = space.depth - head.subarachnoid
    across = np.abs(np.arcsin(np.sin(0.5 * head.sulci * angle + 1.1 * field))) * radius * (2 / head.sulci)
    reach = 0.10 + 0.10 * np.sin(3.0 * field + 5 * angle)
    sulci = np.hypot(across, np.maximum(surface - reach, 0)) - head.sulcus
    middle = np.abs(x + 0.012 * field)
    beyond = np.minimum(np.maximum(0.42 - y, 0), np.maximum(y + 0.50, 0))
    fissure = np.hypot(middle, beyond) - 0.006 - 0.5 * head.sulcus
    if head.above:
        return np.minimum(np.minimum(surface, sulci), fissure)
    side = np.abs(x) + 0.015 * field
    outer = head.width - head.scalp - head.skull
    sylvian = np.maximum(
        _capsule(side, y, (outer, 0.16), (0.40, 0.12), 0.010, 0.006),
        _capsule(side, y, (0.39, 0.20), (0.385, 0.0), 0.006, 0.006),
    )
    return np.minimum(np.minimum(surface, sulci), np.minimum(fissure, -sylvian - 0.5 * head.sulcus))


def _rho(head: Head, x: Map, y: Map) -> Map:
    """0 in the middle of the head, 1 on the skin."""
    return np.hypot(x / (head.width * (1 - head.egg * y)), y / head.height)


def _space(head: Head, x: Map, y: Map, soft: float) -> Space:
    inner = (1 - _rho(head, x, y)) * (0.5 * (head.width + head.height)) - head.scalp - head.skull
    return Space(x, y, x, y, inner, soft)


def _pushed(space: Space, centre: tuple[float, float], radius: float, strength: float) -> Space:
    """The brain displaced away from `centre`, fading with distance and towards the skull."""
    p, q = space.u - centre[0], space.v - centre[1]
    fade = np.exp(-(p * p + q * q) / (1.7 * radius) ** 2) * np.clip(space.depth / 0.15, 0, 1) * strength
    return replace(space, u=space.u - p * fade, v=space.v - q * fade)


def _blob(rng: np.random.Generator, space: Space, centre: tuple[float, float], radius: float, rough: float) -> Map:
    """Distance inside an irregular round lesion."""
    p, q = space.x - centre[0], space.y - centre[1]
    stretch, turn = rng.uniform(0.8, 1.25), rng.uniform(0, np.pi)
    angle = np.arctan2(q, p)
    edge = np.ones_like(p)
    for k in (2, 3, 4, 5, 7):
        edge += rough * rng.normal() / k * np.sin(k * angle + rng.uniform(0, 2 * math.pi))
    c, s = math.cos(turn), math.sin(turn)
    return radius * edge - np.hypot((c * p + s * q) * stretch, (c * q - s * p) / stretch)


def _which(rng: np.random.Generator) -> tuple[int, Side]:
    """Sign of x, and its name: image left is the patient's right."""
    return (-1, "right") if rng.random() < 0.5 else (1, "left")


def _tumor(rng: np.random.Generator, head: Head, space: Space) -> Change:
    sign, side = _which(rng)
    radius = rng.uniform(0.11, 0.21)
    centre = (sign * rng.uniform(0.24, 0.38), rng.uniform(-0.42, 0.42))
    centre = (centre[0] * (1 - 0.5 * abs(centre[1])), centre[1])
    space = _pushed(space, centre, radius, rng.uniform(0.3, 0.6))
    solid = _blob(rng, space, centre, radius, 0.25)
    fingers = _waves(space.x, space.y, head.waves * np.array([1.3, 1.3, 1, 1]))
    edema = solid + radius * rng.uniform(0.35, 0.8) * (1 + 0.6 * fingers)
    edema = np.minimum(edema, _folds(head, space) - 0.7 * head.cortex)  # edema keeps to the white matter
    core = solid - radius * rng.uniform(0.3, 0.75)
    layers = (
        (0.9 * _step(edema, 0.06), EDEMA),
        (_step(solid, 0.03), TUMOR),
        (_step(core + 0.12 * radius * fingers, 0.04), NECROSIS),
    )
    return Change(head, space, layers, np.maximum(solid, edema), side)


def _infarct(rng: np.random.Generator, head: Head, space: Space) -> Change:
    sign, side = _which(rng)
    direction, half = ((0.1, 0.5), (-0.75, 0.35), (0.95, 0.3))[int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
    direction += rng.uniform(-0.2, 0.2)
    half *= rng.uniform(0.7, 1.15)
    apex = (0.13, 0.1 * np.sin(direction))
    p, q = sign * space.x - apex[0], space.y - apex[1]
    field = _waves(space.x, space.y, head.waves * np.array([0.7, 0.7, 1, 1]))
    radius = np.hypot(p, q)
    off = np.abs(np.arctan2(q, p) - direction)
    wedge = (half - off + 0.12 * field) * np.maximum(radius, 0.05)
    wedge = np.minimum(wedge, radius - rng.uniform(0.08, 0.22) + 0.03 * field)
    swollen = replace(head, sulcus=head.sulcus - 0.004)
    tissue = np.minimum(_folds(swollen, space) + 0.006, -_ventricles(head, space.u, space.v))
    inside = np.minimum(wedge, tissue)
    strength = rng.uniform(0.8, 1.0)
    layer = np.minimum(_step(wedge, 0.04), _step(tissue, space.soft)) * strength
    return Change(head, space, ((layer, INFARCT),), inside, side)


def _sclerosis(rng: np.random.Generator, head: Head, space: Space) -> Change:
    """Ovals that point away from the ventricles (Dawson's fingers), on both sides."""
    inside = np.full_like(space.x, -1)
    for i in range(int(rng.integers(6, 14))):
        sign = 1 if i % 2 else -1
        angle = rng.uniform(-1.35, 1.35)
        long = rng.uniform(0.04, 0.085)
        wide = long * rng.uniform(0.45, 0.8)
        if head.above:
            base = (0.11 + 0.06 * abs(np.sin(angle)), 0.38 * np.sin(angle))
        else:
            base = (0.17 + 0.04 * rng.random(), 0.38) if angle > 0 else (0.30, -0.30 + 0.25 * angle / 1.35)
        out = long * rng.uniform(0.4, 1.0) if rng.random() < 0.75 else rng.uniform(0.12, 0.2)
        centre = (sign * (base[0] + out * np.cos(angle)), base[1] + out * np.sin(angle))
        oval = _ellipse(space.x, space.y, centre, (long, wide), angle if sign > 0 else np.pi - angle)
        inside = np.maximum(inside, oval)
    inside = np.minimum(inside, -_ventricles(head, space.u, space.v))
    inside = np.minimum(inside, _folds(head, space) - 0.5 * head.cortex)
    return Change(head, space, ((_step(inside, 0.02) * rng.uniform(0.85, 1), PLAQUE),), inside, None)


def _hydrocephalus(rng: np.random.Generator, head: Head, space: Space) -> Change:
    large = replace(
        head,
        swelling=rng.uniform(0.05, 0.10),
        spread=head.spread * rng.uniform(1.15, 1.45),
        sulcus=0.001,
        subarachnoid=0.008,
    )
    inside = _ventricles(large, space.u, space.v)
    halo = _step(inside + rng.uniform(0.02, 0.06), 0.06) * rng.uniform(0.4, 0.9)
    return Change(large, space, ((halo, EDEMA), (_step(inside, space.soft), FLUID)), inside, None)


def _hemorrhage(rng: np.random.Generator, head: Head, space: Space) -> Change:
    sign, side = _which(rng)
    radius = rng.uniform(0.09, 0.18)
    if rng.random() < 0.5:  # basal ganglia and thalamus
        centre = (sign * rng.uniform(0.2, 0.3), rng.uniform(-0.12, 0.14))
    else:  # lobar
        centre = (sign * rng.uniform(0.24, 0.36), rng.choice((-1, 1)) * rng.uniform(0.25, 0.42))
    space = _pushed(space, centre, radius, rng.uniform(0.3, 0.5))
    clot = _blob(rng, space, centre, radius, 0.3)
    blood = EARLY_BLOOD if rng.random() < 0.5 else LATE_BLOOD
    layers = (
        (0.8 * _step(clot + radius * rng.uniform(0.15, 0.4), 0.05), EDEMA),
        (_step(clot + 0.018, 0.02), HEMOSIDERIN),
        (_step(clot - 0.012, 0.02), blood),
    )
    return Change(head, space, layers, clot + 0.018, side)


def _subdural(rng: np.random.Generator, head: Head, space: Space) -> Change:
    """A crescent between skull and brain, which pushes the brain inwards and across the midline."""
    sign, side = _which(rng)
    thick, half = rng.uniform(0.07, 0.15), rng.uniform(0.7, 1.25)
    off = (np.arctan2(space.y, sign * space.x) - rng.uniform(-0.35, 0.45)) / half
    crescent = thick * np.sqrt(np.clip(1 - off * off, 0, 1)) * (sign * space.x > 0.02)
    inside = np.minimum(crescent - space.depth, space.depth)
    inside[crescent < 0.01] = -1
    shift = sign * thick * rng.uniform(0.5, 0.9) * np.exp(-((space.y / 0.6) ** 2))
    shift *= np.clip(space.depth / 0.3, 0, 1)
    space = replace(space, u=space.u + shift, depth=space.depth - crescent)
    blood = replace(LATE_BLOOD, t1=rng.uniform(320, 520), t2=rng.uniform(120, 260))
    return Change(head, space, ((_step(inside, space.soft), blood),), inside, side, beneath=True)


def _cyst(rng: np.random.Generator, head: Head, space: Space) -> Change:
    """A pocket of fluid against the skull."""
    sign, side = _which(rng)
    radius = rng.uniform(0.13, 0.23)
    angle = rng.choice((0.35, 0.9, -0.8)) + rng.uniform(-0.25, 0.25)
    inner = head.width - head.scalp - head.skull
    reach = inner - radius * rng.uniform(0.35, 0.7)
    centre = (sign * reach * np.cos(angle), reach * 1.2 * np.sin(angle))
    space = _pushed(space, centre, radius, rng.uniform(0.3, 0.5))
    inside = np.minimum(_blob(rng, space, centre, radius, 0.06), space.depth)
    return Change(head, space, ((_step(inside, space.soft), FLUID),), inside, side, beneath=True)


FINDINGS: dict[str, Callable[[np.random.Generator, Head, Space], Change]] = {
    "brain tumor": _tumor,
    "acute infarct": _infarct,
    "multiple sclerosis": _sclerosis,
    "hydrocephalus": _hydrocephalus,
    "intracranial hemorrhage": _hemorrhage,
    "subdural hematoma": _subdural,
    "arachnoid cyst": _cyst,
}


def _weighted(change: Change, sequence: Sequence) -> Map:
    """The signal of every pixel: tissues over tissues."""
    head, space = change.head, change.space
    soft = space.soft
    outer = _space(head, space.x, space.y, soft).depth  # unlike space.depth, no finding moves it
    brain = _folds(head, space)
    ventricles = _ventricles(head, space.u, space.v)
    marrow = 0.45 * np.clip(1 - np.abs(outer + 0.5 * head.skull) / (0.3 * head.skull), 0, 1)
    layers = [
        (_step(outer + head.skull + head.scalp, soft), SKIN),
        (_step(outer + head.skull + head.scalp - 0.016, soft), FAT),
        (_step(outer + head.skull, soft), BONE),
        (marrow, FAT),
        (_step(outer, soft), FLUID),
        (_step(brain, soft), GREY),
        (_step(brain - head.cortex, 0.02), WHITE),
        (0.85 * _step(_nuclei(head, space.u, space.v), 0.025), NUCLEI),
        (_step(ventricles, soft), FLUID),
    ]
    signal = np.zeros_like(space.x)
    for membership, tissue in layers:
        signal += membership * (sequence.signal(tissue) - signal)
    within = _step(outer, soft) if change.beneath else _step(brain, soft)
    for membership, tissue in change.layers:
        signal += membership * within * (sequence.signal(tissue) - signal)
    return signal


def _scanner(acquisition: np.random.Generator, signal: Map, white: float) -> NDArray[np.uint8]:
    """Coil sensitivity, limited k-space, motion ghost, Rician noise and the display window."""
    size = len(signal)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    a = acquisition.normal(0, 0.10, 4).astype(np.float32)
    coil = 1 + a[0] * ramp + a[1] * ramp[:, None] + a[2] * ramp**2 + a[3] * (ramp**2)[:, None]
    spectrum = np.fft.fft2(signal * np.exp(coil - 1))  # [H, W]
    frequency = np.abs(np.fft.fftfreq(size) * size)
    cut = acquisition.uniform(42, 64)  # cycles per picture: the sharpest detail of a 128 matrix
    window = 1 / (1 + np.exp((frequency - cut) / acquisition.uniform(3, 9)))
    spectrum *= window * window[:, None]
    ghost = acquisition.random()
    if ghost > 0.75:  # every second line of k-space a little off: a faint copy half a picture away
        spectrum[::2] *= 1 + 0.12 * (ghost - 0.75) * 4
    noise = acquisition.uniform(0.006, 0.03) * white
    grain = acquisition.standard_normal((2, size, size), dtype=np.float32) * noise
    echo = np.fft.ifft2(spectrum) + grain[0] + 1j * grain[1]
    image = np.abs(echo)
    top = white * acquisition.uniform(0.85, 1.15)
    low = acquisition.uniform(0, 0.05)
    display = np.clip((image / top - low) / (1 - low), 0, 1) ** acquisition.uniform(0.85, 1.2)
    return (display * 255 + 0.5).astype(np.uint8)


def draw(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """An axial slice of a head; see `base.Draw`. `view` is one of SEQUENCES, `finding` one of FINDINGS."""
    head = _head(patient)
    lesion = np.random.default_rng(patient.integers(2**62))
    base = SEQUENCES[view]
    stretch = acquisition.uniform(0.9, 1.1, 2).tolist()
    sequence = replace(base, repetition=base.repetition * stretch[0], echo=base.echo * stretch[1])
    turn, zoom = acquisition.uniform(-0.12, 0.12), acquisition.uniform(0.90, 1.04)
    shift = acquisition.uniform(-0.03, 0.03, 2).tolist()
    ramp = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    p, q = zoom * ramp - shift[0], (-zoom * ramp - shift[1])[:, None]
    c, s = math.cos(turn), math.sin(turn)
    x, y = (c * p + s * q).astype(np.float32), (c * q - s * p).astype(np.float32)  # [H, W]
    space = _space(head, x, y, soft=max(2.2 / size, 0.014))
    if finding is None:
        change = Change(head, space, (), np.full_like(x, -1), None)
    else:
        change = FINDINGS[finding](lesion, head, space)
    pixels = _scanner(acquisition, _weighted(change, sequence), sequence.signal(WHITE) * sequence.bright)
    inner = _space(head, x, y, space.soft).depth
    mask = (change.mask > 0) & (inner > 0)
    return Drawing(pixels=pixels, mask=mask, side=change.side)


MODALITIES = (Modality(name="mri", anatomy="brain", views=tuple(SEQUENCES), findings=tuple(FINDINGS), draw=draw),)
