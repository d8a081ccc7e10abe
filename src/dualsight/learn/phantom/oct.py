"""Retinal optical coherence tomography: the layers of a retina seen through speckle.

Findings move boundaries, open cavities, or take layers away (`macula` has the healthy ones). The picture is
2 mm high and 6 mm wide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom import macula
from dualsight.learn.phantom.base import Drawing, Modality
from dualsight.learn.phantom.macula import CAVITY, LAYERS, VITREOUS, Retina, Row, Stack, at, between, bump
from dualsight.learn.phantom.physics import Map, to_uint8

HEIGHT, HALF = 2.0, 3.0  # mm: depth of the picture, half of its width


@dataclass(frozen=True, slots=True)
class Cavity:
    """A region [H, W] (0…1) of another reflectivity, laid over the layers."""

    region: Map
    reflectivity: float


# What a finding adds once the boundaries are known: cavities, and where the finding is
Additions = tuple[tuple[Cavity, ...], NDArray[np.bool_]]
After = Callable[[Retina, Stack], Additions]


def _oval(retina: Retina, stack: Stack, x: float, z: float, wide: float, high: float) -> Map:
    """0…1 inside an ellipse, with a soft border."""
    rho = np.hypot((retina.x - x) / wide, (stack.z - z) / high)
    return np.asarray(np.clip((1 - rho) * (high / stack.soft) + 0.5, 0, 1), np.float32)


def _macular_edema(rng: np.random.Generator, retina: Retina) -> After:
    """Thickening by cysts in the inner and outer nuclear layers."""
    centre, half = rng.uniform(-0.3, 0.3), rng.uniform(1.0, 1.9)
    hill = bump(retina.x, centre, half)
    swell = rng.uniform(0.10, 0.24)
    retina.thickness["onl"] = retina.thickness["onl"] + swell * hill
    retina.thickness["inl"] = retina.thickness["inl"] + 0.5 * swell * hill
    seed = int(rng.integers(2**62))

    def after(retina: Retina, stack: Stack) -> Additions:
        rng = np.random.default_rng(seed)
        region = np.zeros_like(stack.z + retina.x)
        position = centre - 0.75 * half
        while position < centre + 0.75 * half:
            wide = rng.uniform(0.07, 0.20)
            position += wide
            for name, below, chance in (("onl", "elm", 0.9), ("inl", "opl", 0.6)):
                above = at(retina, stack.tops[name], position)
                room = at(retina, stack.tops[below], position) - above
                if room > 0.05 and rng.random() < chance:
                    middle = above + room * rng.uniform(0.42, 0.55)
                    high = 0.5 * room * rng.uniform(0.6, 0.9)
                    region = np.maximum(region, _oval(retina, stack, position, middle, wide, high))
            position += wide + rng.uniform(0.01, 0.06)
        return (Cavity(region, CAVITY),), region > 0.5

    return after


def _subretinal_fluid(rng: np.random.Generator, retina: Retina) -> After:
    retina.lift = rng.uniform(0.11, 0.30) * bump(retina.x, rng.uniform(-0.5, 0.5), rng.uniform(0.9, 1.9))

    def after(retina: Retina, stack: Stack) -> Additions:
        bottom = stack.tops["rpe"]
        return (), between(stack, bottom - retina.lift, bottom) & (retina.lift > 0.01)

    return after


def _drusen(rng: np.random.Generator, retina: Retina) -> After:
    """Several small humps of the pigment epithelium with grey content."""
    for _ in range(int(rng.integers(5, 11))):
        hump = rng.uniform(0.045, 0.11) * bump(retina.x, rng.uniform(-1.9, 1.9), rng.uniform(0.14, 0.32))
        retina.raised = np.maximum(retina.raised, hump)
    retina.content = rng.uniform(0.38, 0.55)
    onl = retina.thickness["onl"]
    retina.thickness["onl"] = np.maximum(onl - 0.85 * retina.raised, 0.02)  # the retina above gives way
    return _beneath_epithelium


def _detachment(rng: np.random.Generator, retina: Retina) -> After:
    """One large dome of the pigment epithelium."""
    dome = bump(retina.x, rng.uniform(-0.7, 0.7), rng.uniform(0.75, 1.4))
    retina.raised = (rng.uniform(0.18, 0.36) * np.sqrt(dome)).astype(np.float32)
    retina.content = rng.uniform(0.03, 0.14)
    return _beneath_epithelium


def _beneath_epithelium(retina: Retina, stack: Stack) -> Additions:
    return (), between(stack, stack.tops["rpe"], retina.bruch) & (retina.raised > 0.012)


def _macular_hole(rng: np.random.Generator, retina: Retina) -> After:
    """A gap through the whole neurosensory retina, with swollen edges."""
    half, flare = rng.uniform(0.12, 0.34), rng.uniform(0.25, 0.9)
    edge = np.asarray(np.exp(-(((np.abs(retina.x) - half - 0.25) / 0.35) ** 2)), np.float32)
    swell = rng.uniform(0.04, 0.11)
    for name, share in (("onl", 1.0), ("inl", 0.6)):
        retina.thickness[name] = retina.thickness[name] + swell * share * edge
    for name in ("nfl", "ipl"):
        retina.thickness[name] = np.maximum(retina.thickness[name], 0.02)
    cysts = rng.uniform(0.35, 0.75, 2).tolist()

    def after(retina: Retina, stack: Stack) -> Additions:
        top, bottom = stack.tops["nfl"], stack.tops["rpe"]
        share = (bottom - stack.z) / np.maximum(bottom - top, 0.05)  # 0 on the epithelium, 1 on the surface
        width = half * (1 + flare * (2 * share - 1) ** 2)
        gap = np.clip((width - np.abs(retina.x)) / 0.04 + 0.5, 0, 1)
        gap = gap * np.clip((bottom - stack.z) / stack.soft + 0.5, 0, 1)
        cavities = [Cavity(np.asarray(gap, np.float32), VITREOUS)]
        for sign, share_of_room in zip((-1, 1), cysts, strict=True):  # the edges are full of fluid
            x = sign * (half * (1 + 0.5 * flare) + 0.16)
            above, below = at(retina, stack.tops["onl"], x), at(retina, stack.tops["elm"], x)
            region = _oval(retina, stack, x, (above + below) / 2, 0.09, (below - above) / 2 * share_of_room)
            cavities.append(Cavity(region, CAVITY))
        return tuple(cavities), (gap > 0.5) & between(stack, top, bottom)

    return after


def _membrane(rng: np.random.Generator, retina: Retina) -> After:
    """A bright line on the surface, which wrinkles it and fills the pit."""
    centre, half = rng.uniform(-0.4, 0.4), rng.uniform(1.5, 2.6)
    cover = np.clip(3 * bump(retina.x, centre, half), 0, 1)
    pit = np.exp(-((retina.x / 0.5) ** 2))
    k = rng.uniform(0.6, 1.0)
    for name, value in (("gcl", 0.05), ("ipl", 0.045), ("inl", 0.05)):
        retina.thickness[name] = retina.thickness[name] + k * value * pit
    a, b = rng.uniform(9, 13), rng.uniform(15, 21)
    p, q = rng.uniform(0, 6.28, 2).tolist()
    folds = 0.6 * np.sin(a * retina.x + p) + 0.4 * np.sin(b * retina.x + q)  # −1…1
    depth = rng.uniform(0.016, 0.03)
    retina.thickness["nfl"] = retina.thickness["nfl"] + cover * depth * (1 + folds)
    thick, clear = rng.uniform(0.022, 0.032), rng.uniform(0.014, 0.03)

    def after(retina: Retina, stack: Stack) -> Additions:
        line = stack.tops["nfl"] - cover * depth * (1 - folds) - clear  # taut: it spans the folds
        region = np.clip((0.5 * thick - np.abs(stack.z - line)) / stack.soft + 0.5, 0, 1) * (cover > 0.15)
        return (Cavity(np.asarray(region, np.float32), 1.1),), region > 0.5

    return after


def _atrophy(rng: np.random.Generator, retina: Retina) -> After:
    """Pigment epithelium and outer retina are gone; light falls through into the choroid."""
    centre, half = rng.uniform(-0.7, 0.7), rng.uniform(0.55, 1.3)
    gone = np.clip((half - np.abs(retina.x - centre)) / 0.12, 0, 1)
    thin = np.clip((half + 0.25 - np.abs(retina.x - centre)) / 0.7, 0, 1)  # the inner retina sinks slowly
    thin = thin * thin * (3 - 2 * thin)
    retina.thickness["onl"] = retina.thickness["onl"] * (1 - thin * rng.uniform(0.6, 0.9))
    outer = np.clip((half + 0.1 - np.abs(retina.x - centre)) / 0.35, 0, 1)
    for name, rest in (("outer", 0.1), ("ez", 0.05), ("myoid", 0.2), ("elm", 0.3)):
        retina.thickness[name] = retina.thickness[name] * (1 - outer * (1 - rest))
    retina.thickness["rpe"] = retina.thickness["rpe"] * (1 - 0.7 * gone)
    retina.reflectivity["rpe"] = retina.reflectivity["rpe"] * (1 - 0.5 * gone)
    retina.leak = gone * rng.uniform(1.0, 1.8)

    def after(retina: Retina, stack: Stack) -> Additions:
        return (), between(stack, stack.tops["onl"], stack.tops["sclera"]) & (gone > 0.5)

    return after


FINDINGS: dict[str, Callable[[np.random.Generator, Retina], After]] = {
    "macular edema": _macular_edema,
    "subretinal fluid": _subretinal_fluid,
    "drusen": _drusen,
    "macular hole": _macular_hole,
    "epiretinal membrane": _membrane,
    "geographic atrophy": _atrophy,
    "pigment epithelial detachment": _detachment,
}


def _vascular(retina: Retina, z: Map) -> Map:
    """The choroid's vessels: dark lumina in a brighter stroma; 0.45…1."""
    x, phase = retina.x, retina.phase
    below = z - retina.bruch
    waves = np.zeros_like(below)
    for i, (a, b) in enumerate(((7.0, 17.0), (11.0, -23.0), (16.0, 9.0), (23.0, -31.0))):
        waves += np.sin(a * x + b * below + phase[2 + i] + 1.5 * np.sin(0.37 * a * x + phase[6 + i]))
    inside = np.clip(np.minimum(below, retina.thickness["choroid"] - below) / 0.05, 0, 1)
    return np.asarray(1 - 0.55 * np.clip(waves - 0.1, 0, 1) * inside, np.float32)


def _reflected(retina: Retina, stack: Stack, cavities: tuple[Cavity, ...]) -> Map:
    """Light that comes back from each pixel, before speckle."""
    z, soft = stack.z, stack.soft
    light = np.full((len(z), len(retina.x)), VITREOUS, dtype=np.float32)
    texture = _vascular(retina, z)
    previous: Row | float = VITREOUS
    for name in LAYERS:
        top = stack.tops[name]
        if name == "rpe":  # the space above it holds fluid where the retina is lifted
            fluid = np.clip(retina.lift / 0.02, 0, 1)
            value = previous + (CAVITY - previous) * fluid
            light += np.clip((z - top + retina.lift) / soft + 0.5, 0, 1) * (value - previous)
            previous = value
        if name == "choroid":
            inside = np.clip(retina.raised / 0.02, 0, 1)
            value = previous + (retina.content - previous) * inside
            light += np.clip((z - top + retina.raised) / soft + 0.5, 0, 1) * (value - previous)
            previous = value
        value = retina.reflectivity[name]
        light += np.clip((z - top) / soft + 0.5, 0, 1) * (value - previous)
        previous = value
    below = np.clip(z - retina.bruch, 0, None)
    deep = np.where(below > 0, texture * (1 + retina.leak), 1) * np.exp(-below / np.float32(0.50))
    light *= deep
    for cavity in cavities:
        light += cavity.region * (cavity.reflectivity - light)
    return light


def _shadows(retina: Retina, stack: Stack, light: Map) -> Map:
    """Retinal vessels: bright in the nerve fibre layer, dark below."""
    shade = np.zeros_like(retina.x)
    for x, half in retina.vessels.astype(np.float32):
        shade = np.maximum(shade, bump(retina.x, x, 1.6 * half))
    inner = stack.tops["gcl"] + np.float32(0.03)
    return light * (1 - 0.6 * shade * np.clip((stack.z - inner) / 0.04, 0, 1))


def _imaged(acquisition: np.random.Generator, light: Map) -> NDArray[np.uint8]:
    """Speckle of a few averaged frames, focus along depth, and the logarithmic display."""
    size = light.shape[0]
    looks = acquisition.uniform(3, 14)
    roll = acquisition.uniform(0, 0.5) * np.linspace(0, 1, size)[:, None] ** 2
    speckle = acquisition.standard_gamma(looks, (size, size), dtype=np.float32) / np.float32(looks)
    smooth = acquisition.uniform(0, 0.5)
    speckle = (speckle + smooth * np.roll(speckle, 1, 1)) / (1 + smooth)
    floor = acquisition.uniform(0.006, 0.025)
    grain = acquisition.standard_gamma(2.0, (size, size), dtype=np.float32) * np.float32(floor / 2)
    signal = light * speckle * np.exp(-roll) + grain
    low, high = acquisition.uniform(0.015, 0.03), acquisition.uniform(0.9, 1.4)
    display = np.log(np.maximum(signal, 1e-4) / low) / np.log(high / low)
    gamma = acquisition.uniform(0.9, 1.5)
    return to_uint8(np.clip(display, 0, 1) ** gamma)


def draw(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """A horizontal B-scan through the macula; see `base.Draw`. `finding` is one of FINDINGS."""
    zoom, shift = acquisition.uniform(0.85, 1.05), acquisition.uniform(-0.25, 0.25)
    ramp = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x = zoom * HALF * (2 * ramp - 1) + shift
    retina = macula.retina(patient, x)
    lesion = np.random.default_rng(patient.integers(2**62))
    tilt, lower = acquisition.uniform(-0.06, 0.06), acquisition.uniform(-0.18, 0.12)
    retina.bruch = np.asarray(retina.bruch + tilt * x + lower, np.float32)
    after = FINDINGS[finding](lesion, retina) if finding else None
    stack = macula.stack(retina, (HEIGHT * ramp)[:, None], soft=HEIGHT / size * 1.3)
    cavities: tuple[Cavity, ...] = ()
    mask = np.zeros((size, size), dtype=np.bool_)
    if after:
        cavities, mask = after(retina, stack)
    light = _shadows(retina, stack, _reflected(retina, stack, cavities))
    return Drawing(pixels=_imaged(acquisition, light), mask=mask)


MODALITIES = (Modality(name="oct", anatomy="retina", views=("",), findings=tuple(FINDINGS), draw=draw),)
