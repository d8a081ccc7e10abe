"""A head in an axial slice: outline, skull, folded cortex, ventricles and nuclei, as signed distances.

Coordinates: x right, y up (anterior); the picture spans −1…1, one unit is about 107 mm. Image left (x < 0)
is the patient's right. Distances are positive inside. Maps are [H, W].
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom.physics import Map, ellipse

Point = tuple[float, float]


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
    waves: NDArray[np.float32]  # [6, 3]: frequency in x and y, phase, of the folding
    ventricle: float  # scale of the ventricles' radii
    swelling: float  # added to these radii
    spread: float  # scale of the ventricles' distance from the midline
    above: bool  # the slice is above the basal ganglia
    nuclei: float


def head(patient: np.random.Generator) -> Head:
    """A healthy head."""
    u = patient.uniform
    direction, frequency, phase = u(0, 2 * np.pi, 6), u(6, 19, 6), u(0, 2 * np.pi, 6)
    waves = np.stack([frequency * np.cos(direction), frequency * np.sin(direction), phase], axis=1)
    return Head(
        width=u(0.66, 0.74),
        height=u(0.80, 0.90),
        egg=u(0.02, 0.12),
        scalp=u(0.045, 0.08),
        skull=u(0.05, 0.075),
        subarachnoid=u(0.012, 0.03),
        cortex=u(0.034, 0.046),
        sulcus=u(0.004, 0.013),
        sulci=int(patient.integers(22, 32)),
        waves=waves.astype(np.float32),
        ventricle=u(0.75, 1.3),
        swelling=0.0,
        spread=u(0.9, 1.1),
        above=bool(patient.random() < 0.35),
        nuclei=u(0.9, 1.1),
    )


@dataclass(frozen=True, slots=True)
class Space:
    """Where each pixel is: in the head (x, y) and, displaced by a finding, in the brain (u, v)."""

    x: Map
    y: Map
    u: Map
    v: Map
    angle: Map  # of (x, y)
    depth: Map  # below what covers the brain: the skull, or a collection between skull and brain
    soft: float  # width of a partial volume border


def space(head: Head, x: Map, y: Map, soft: float) -> Space:
    """Nothing displaced."""
    return Space(x, y, x, y, np.arctan2(y, x), inner_table(head, x, y), soft)


def inner_table(head: Head, x: Map, y: Map) -> Map:
    """Distance inside the skull's inner surface."""
    rho = np.hypot(x / (head.width * (1 - head.egg * y)), y / head.height)  # 1 on the skin
    return np.asarray((1 - rho) * (0.5 * (head.width + head.height)) - head.scalp - head.skull, np.float32)


def pushed(space: Space, centre: Point, radius: float, strength: float) -> Space:
    """The brain displaced away from `centre`, fading with distance and towards the skull."""
    p, q = space.u - centre[0], space.v - centre[1]
    fade = np.exp((p * p + q * q) / -((1.7 * radius) ** 2)) * np.clip(space.depth / 0.15, 0, 1) * strength
    u, v = space.u - p * fade, space.v - q * fade
    return replace(space, u=np.asarray(u, np.float32), v=np.asarray(v, np.float32))


def field(head: Head, x: Map, y: Map, scale: float = 1.0) -> Map:
    """A smooth random field, about −1…1, that belongs to the patient."""
    total = np.zeros_like(x)
    for a, b, phase in head.waves:
        total += np.sin(a * np.float32(scale) * x + b * np.float32(scale) * y + phase)
    return total * np.float32(0.4)


def capsule(x: Map, y: Map, start: Point, end: Point, r0: float, r1: float) -> Map:
    """Distance inside a segment whose radius goes from r0 to r1."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    p, q = x - start[0], y - start[1]
    along = np.clip((p * dx + q * dy) / (dx * dx + dy * dy), 0, 1)
    p, q = p - along * dx, q - along * dy
    return np.asarray(r0 + (r1 - r0) * along - np.sqrt(p * p + q * q), np.float32)


def ventricles(head: Head, space: Space) -> Map:
    """Distance inside the ventricles; both halves at once, by symmetry."""
    k, more, far = head.ventricle, head.swelling, head.spread
    x, y, side = space.u, space.v, np.abs(space.u)
    if head.above:
        monro = (0.065 * far, 0.02)
        front = capsule(side, y, (0.10 * far, 0.30), monro, 0.034 * k + more, 0.03 * k + more)
        back = capsule(side, y, monro, (0.19 * far, -0.36), 0.03 * k + more, 0.045 * k + 1.2 * more)
        return np.minimum(np.maximum(front, back), side - np.float32(0.010))  # the septum divides them
    horn = capsule(side, y, (0.035, 0.14), (0.115 * far, 0.33), 0.016 * k + 0.6 * more, 0.034 * k + more)
    start, end = (0.23 * far, -0.26), (0.25 * far, -0.46)
    atrium = capsule(side, y, start, end, 0.036 * k + 1.1 * more, 0.02 * k + 0.8 * more)
    slit = 0.013 * k + 0.35 * more
    third = capsule(x, y, (0, 0.05), (0, -0.12), slit, slit)
    return np.maximum(np.minimum(np.maximum(horn, atrium), side - np.float32(0.008)), third)


def nuclei(head: Head, space: Space) -> Map:
    """Distance inside caudate, lentiform nucleus and thalamus."""
    side, y, k = np.abs(space.u), space.v, head.nuclei
    if head.above:
        return ellipse(side, y, (0.15 * head.spread + head.swelling, 0.12), (0.035 * k, 0.17 * k), 0.05)
    caudate = ellipse(side, y, (0.165 + head.swelling, 0.26), (0.045 * k, 0.085 * k), -0.35)
    lentiform = ellipse(side, y, (0.275, 0.085), (0.062 * k, 0.16 * k), 0.3)
    thalamus = ellipse(side, y, (0.115, -0.09), (0.08 * k, 0.13 * k), 0.45)
    return np.maximum(np.maximum(caudate, lentiform), thalamus)


def folds(head: Head, space: Space) -> Map:
    """Distance from the brain's outer surface into it: from the convexity, the sulci and the fissures."""
    x, y = space.u, space.v
    noise = field(head, x, y)
    surface = space.depth - head.subarachnoid
    turns = space.angle * (head.sulci / (2 * np.pi)) + 0.62 * noise  # whole numbers lie on sulci
    radius = np.sqrt(x * x + y * y)
    across = np.abs(turns - np.rint(turns)) * radius * (2 * np.pi / head.sulci)
    reach = 0.11 + 0.10 * np.sin(3.0 * noise + 5 * space.angle)
    below = np.maximum(surface - reach, 0)
    sulci = np.sqrt(across * across + below * below) - head.sulcus
    middle = x + 0.012 * noise
    beyond = np.minimum(np.maximum(0.42 - y, 0), np.maximum(y + 0.50, 0))
    fissure = np.sqrt(middle * middle + beyond * beyond) - 0.006 - 0.5 * head.sulcus
    inside = np.minimum(np.minimum(surface, sulci), fissure)
    if not head.above:
        side = np.asarray(np.abs(x) + 0.015 * noise, np.float32)
        outer = head.width - head.scalp - head.skull
        sylvian = np.maximum(
            capsule(side, y, (outer, 0.16), (0.40, 0.12), 0.010, 0.006),
            capsule(side, y, (0.39, 0.20), (0.385, 0.0), 0.006, 0.006),
        )
        inside = np.minimum(inside, -sylvian - 0.5 * head.sulcus)
    return np.asarray(inside, np.float32)
