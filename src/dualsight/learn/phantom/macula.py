"""A retina in a B-scan: boundaries between layers of known thickness and reflectivity.

Each boundary is a depth over the lateral position. Depths are in millimetres from the top of the picture,
lateral positions in millimetres from the fovea.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom.physics import Map

Row = NDArray[np.floating[Any]]  # float32 [W]: numpy's types do not say that a number times float32 stays float32

LAYERS = ("nfl", "gcl", "ipl", "inl", "opl", "onl", "elm", "myoid", "ez", "outer", "rpe", "choroid", "sclera")
REFLECTIVITY = {  # linear, vitreous 0.02
    "nfl": 0.80,
    "gcl": 0.36,
    "ipl": 0.46,
    "inl": 0.22,
    "opl": 0.46,
    "onl": 0.13,
    "elm": 0.40,
    "myoid": 0.20,
    "ez": 0.85,
    "outer": 0.42,
    "rpe": 1.0,
    "choroid": 0.40,
    "sclera": 0.24,
}
VITREOUS = 0.025
CAVITY = 0.03


@dataclass(slots=True)
class Retina:
    """One patient's scan before it is imaged: what a finding may change.

    x: [W] mm; bruch: [W], depth of Bruch's membrane; thickness: by layer from nfl to rpe, [W] each;
    reflectivity: by layer, [W]; lift: [W], space between photoreceptors and RPE.
    """

    x: Row
    bruch: Row
    thickness: dict[str, Row]
    reflectivity: dict[str, Row]
    lift: Row  # fluid between photoreceptors and retinal pigment epithelium
    raised: Row  # the retinal pigment epithelium above Bruch's membrane
    content: float  # reflectivity beneath the raised epithelium
    leak: Row  # additional light that reaches the choroid
    phase: NDArray[np.float32]
    vessels: NDArray[np.float64]  # [N, 2]: lateral position and half width


@dataclass(frozen=True, slots=True)
class Stack:
    """Boundaries of a retina on a grid: tops[layer] is [W], z [H, 1]; soft is a pixel's height in mm."""

    tops: dict[str, Row]
    z: Map
    soft: float


def bump(x: Row, centre: float, half: float) -> Row:
    """A smooth hill of height 1 that is 0 outside centre ± half."""
    t = np.clip(np.abs((x - centre) / half), 0, 1)
    return np.asarray((1 - t * t) ** 2, np.float32)


def retina(patient: np.random.Generator, x: Row) -> Retina:
    """A healthy retina at the lateral positions x."""
    u = patient.uniform
    fovea, pit_width = u(-0.25, 0.25), u(0.42, 0.62)
    nasal = 1.0 if patient.random() < 0.5 else -1.0
    x = x - np.float32(fovea)
    pit = np.exp(-((x / pit_width) ** 2)) * u(0.86, 1.0)  # [W]: 1 in the foveola
    rim = np.exp(-(((np.abs(x) - 1.1) / 0.8) ** 2))
    k = u(0.9, 1.12, 4).tolist()
    full = np.ones_like(x)
    thickness = {
        "nfl": (0.022 + 0.028 * np.clip(nasal * x, 0, 3) * k[0]) * (1 - pit) + 0.004,
        "gcl": k[1] * (0.030 + 0.032 * rim) * (1 - pit),
        "ipl": k[1] * (0.034 + 0.012 * rim) * (1 - pit) + 0.003,
        "inl": k[2] * (0.036 + 0.010 * rim) * (1 - pit) + 0.003,
        "opl": 0.030 * (1 - 0.6 * pit) * full,
        "onl": k[3] * (0.085 + 0.035 * pit),
        "elm": 0.010 * full,
        "myoid": 0.022 + 0.010 * pit,
        "ez": 0.020 * full,
        "outer": 0.020 + 0.010 * pit,
        "rpe": 0.026 * full,
    }
    choroid = u(0.16, 0.36)
    phase = patient.uniform(0, 2 * np.pi, 12).astype(np.float32)
    thickness["choroid"] = choroid * (1 + 0.12 * np.sin(1.3 * x + phase[0]) + 0.05 * np.sin(4 * x + phase[1]))
    count = int(patient.integers(2, 6))
    vessels = np.stack(
        [patient.uniform(0.7, 3.2, 6) * patient.choice((-1, 1), 6), patient.uniform(0.03, 0.09, 6)], axis=1
    )[:count]
    bruch = u(1.22, 1.38) - u(-0.01, 0.035) * x * x + u(-0.05, 0.05) * x
    return Retina(
        x=x,
        bruch=bruch.astype(np.float32),
        thickness=thickness,
        reflectivity={name: np.full_like(x, value) for name, value in REFLECTIVITY.items()},
        lift=np.zeros_like(x),
        raised=np.zeros_like(x),
        content=0.3,
        leak=np.zeros_like(x),
        phase=phase,
        vessels=vessels,
    )


def stack(retina: Retina, z: Map, soft: float) -> Stack:
    """Boundaries from Bruch's membrane upwards, and the choroid below it."""
    tops: dict[str, Row] = {"choroid": retina.bruch}
    tops["sclera"] = retina.bruch + retina.thickness["choroid"]
    level = retina.bruch - retina.raised
    for name in reversed(LAYERS[:-2]):
        level = level - retina.thickness[name]
        tops[name] = level
        if name == "rpe":
            level = level - retina.lift
    return Stack(tops, z, soft)


def between(stack: Stack, top: Row, bottom: Row) -> NDArray[np.bool_]:
    """Which pixels [H, W] lie between two depths."""
    return (stack.z > top) & (stack.z <= bottom)


def at(retina: Retina, row: Row, x: float) -> float:
    """The value of a row at the position x."""
    return float(np.interp(x, retina.x, row))
