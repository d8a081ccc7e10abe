"""Colon mucosa under the microscope, stained with haematoxylin and eosin (H&E).

Stains absorb by Beer and Lambert's law; each has one optical density vector (Ruifrok and Johnston 2001).
Nuclei take haematoxylin, collagen and cytoplasm take eosin, mucin and lumina almost nothing. The anatomy, and its unit,
are those of `mucosa`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom.base import Drawing, Modality
from dualsight.learn.phantom.mucosa import CORNERS, Bodies, Mucosa, mucosa, packed, ring, strewn
from dualsight.learn.phantom.optics import Array, Pose, develop, patches, rgb, smoothstep, texture
from dualsight.learn.phantom.physics import norm

HAEMATOXYLIN = rgb(0.650, 0.704, 0.286)  # optical density: R, G, B
EOSIN = rgb(0.072, 0.990, 0.105)


@dataclass(slots=True, kw_only=True)
class Slide:
    """Tissue under the microscope, stain by stain, which findings paint over: maps are [S, S]."""

    tissue: Mucosa
    pose: Pose
    u: Array
    v: Array
    region: Array  # cover of the lesion, 0…1; 0 without one
    haematoxylin: Array
    eosin: Array

    def at(self, plane: Array, points: Array) -> Array:
        """A map's values at points [n, 2]: of the nearest pixel, for those beyond the picture too."""
        x, y = self.pose.pixels(points[:, 0], points[:, 1])
        column, row = (np.clip(np.rint(a), 0, self.pose.size - 1).astype(int) for a in (x, y))
        return plane[row, column]

    def inside(self, at: Array, least: float = 0.5) -> NDArray[np.bool_]:
        """Which points [n, 2] lie in the lesion (or beyond the picture)."""
        return np.asarray(self.at(self.region, at) > least)

    def lay(self, cover: Array, haematoxylin: float | Array, eosin: float | Array) -> None:
        """Puts something with these stains in the place of what is there."""
        self.haematoxylin = self.haematoxylin + cover * (haematoxylin - self.haematoxylin)
        self.eosin = self.eosin + cover * (eosin - self.eosin)

    def nuclei(self, bodies: Bodies, darkness: float = 2.2) -> None:
        """Stains nuclei."""
        self.lay(bodies.stamp(self.pose), darkness, 0.45)


def _healthy(slide: Slide, keep: Callable[[Array], NDArray[np.bool_]] | None) -> None:
    """Stroma, crypts with goblet cells and lumina, and all their nuclei; `keep` tells by position."""
    tissue, pose = slide.tissue, slide.pose

    def kept(at: Array) -> NDArray[np.bool_]:
        return np.ones(len(at), np.bool_) if keep is None else keep(at)

    crypts = tissue.crypts.where(kept(tissue.crypts.centre))
    ones = np.ones(len(crypts.centre), np.float32)
    epithelium = patches(pose, crypts.outline(), ones)
    slide.nuclei(tissue.stromal.where(kept(tissue.stromal.at)))
    slide.lay(epithelium, 0.42, 0.75)
    of_crypt = np.repeat(kept(tissue.crypts.centre), CORNERS)
    slide.nuclei(tissue.nuclei.where(of_crypt))
    slide.lay(tissue.goblets.where(kept(tissue.goblets.at)).stamp(pose) * 0.85, 0.18, 0.08)
    slide.lay(patches(pose, crypts.outline(tissue.lumen), ones), 0.06, 0.05)


def _adenocarcinoma(rng: np.random.Generator, slide: Slide) -> None:
    """Crowded, irregular glands with large, dark, layered nuclei and no goblet cells."""
    _healthy(slide, lambda at: ~slide.inside(at, 0.3))
    step = float(rng.uniform(0.55, 0.75))
    glands = packed(rng, step, (0.42 * step, 0.58 * step), 0.6)
    glands = glands.where(slide.inside(glands.centre))
    n = len(glands.centre)
    slide.lay(patches(slide.pose, glands.outline(), np.ones(n, np.float32)), 0.7, 0.8)
    size = float(rng.uniform(0.052, 0.066))
    inner = ring(rng, glands, (0.5, 0.8), size, 0.62)
    slide.nuclei(inner.where(rng.random(len(inner.at)) < 0.55), 2.9)
    slide.nuclei(ring(rng, glands, (0.86, 1.0), size, 0.62), 2.9)
    lumen = rng.uniform(0.15, 0.5, (n, 1)).astype(np.float32)
    slide.lay(patches(slide.pose, glands.outline(lumen), rng.uniform(0.6, 1, n)), 0.1, 0.15)


def _inflammation(rng: np.random.Generator, slide: Slide) -> None:
    """A crowd of lymphocytes: small, round, dark nuclei that fill the stroma and enter the crypts."""
    _healthy(slide, None)
    cells = strewn(rng, int(rng.integers(5500, 9000)), (0.028, 0.036), 0.95)
    slide.nuclei(cells.where(slide.inside(cells.at) & (rng.random(len(cells.at)) < 0.9)), 2.9)


def _necrosis(rng: np.random.Generator, slide: Slide) -> None:
    """Dead tissue: one smudged pink, ghosts of crypts without nuclei, and dust of broken nuclei."""
    _healthy(slide, None)
    smudge = 1.25 + 0.25 * texture(slide.tissue.mottle, slide.u, slide.v, 5.0, 3)
    slide.lay(slide.region * float(rng.uniform(0.82, 0.95)), 0.12, smudge)
    dust = strewn(rng, int(rng.integers(1200, 3000)), (0.01, 0.022), 0.8)
    slide.nuclei(dust.where(slide.inside(dust.at)), 2.2)


def _fibrosis(rng: np.random.Generator, slide: Slide) -> None:
    """Scar: parallel wavy bundles of collagen with thin, drawn-out nuclei, in the place of crypts."""
    _healthy(slide, lambda at: ~slide.inside(at, 0.3))
    lie = float(rng.uniform(0, np.pi))
    cos, sin = np.float32(np.cos(lie)), np.float32(np.sin(lie))
    along, across = cos * slide.u + sin * slide.v, cos * slide.v - sin * slide.u
    wave = across + np.float32(0.09) * texture(slide.tissue.weave, along, across, 1.6)
    bundles = np.sin(
        np.float32(2 * np.pi * rng.uniform(4, 6)) * wave + texture(slide.tissue.mottle, along, 3 * across, 2)
    )
    slide.lay(slide.region, 0.08, 0.85 + 0.35 * bundles)
    cells = strewn(rng, int(rng.integers(700, 1300)), (0.08, 0.13), 0.16)
    cells.angle[:] = lie + rng.normal(0, 0.15, len(cells.at))
    slide.nuclei(cells.where(slide.inside(cells.at)))


def _mucin(rng: np.random.Generator, slide: Slide) -> None:
    """A lake of mucin outside of cells: pale blue wisps that push the crypts away."""
    _healthy(slide, lambda at: ~slide.inside(at, 0.3))
    wisps = np.abs(texture(slide.tissue.weave, slide.u + slide.v, slide.v - 0.4 * slide.u, 3.0, 3))
    slide.lay(slide.region, 0.22 + 0.3 * smoothstep(0.35, 0.0, wisps), 0.06)
    cells = strewn(rng, int(rng.integers(100, 250)), (0.04, 0.06), 0.7)
    slide.nuclei(cells.where(slide.inside(cells.at)))


def _fat(rng: np.random.Generator, slide: Slide) -> None:
    """Fat: large empty cells, of which only thin walls and a flat nucleus here and there are left."""
    _healthy(slide, lambda at: ~slide.inside(at, 0.3))
    step = float(rng.uniform(0.42, 0.6))
    cells = packed(rng, step, (0.46 * step, 0.5 * step), 0.06)
    cells = cells.where(slide.inside(cells.centre, 0.3))
    ones = np.ones(len(cells.centre), np.float32)
    slide.lay(slide.region, 0.12, 0.8)
    slide.lay(patches(slide.pose, cells.outline(), ones) * slide.region, 0.02, 0.02)
    flat = strewn(rng, 500, (0.05, 0.07), 0.35)
    slide.nuclei(flat.where(slide.inside(flat.at) & (slide.at(slide.eosin, flat.at) > 0.35)))


FINDINGS: dict[str, Callable[[np.random.Generator, Slide], None]] = {
    "adenocarcinoma": _adenocarcinoma,
    "inflammation": _inflammation,
    "necrosis": _necrosis,
    "fibrosis": _fibrosis,
    "mucin": _mucin,
    "fat infiltration": _fat,
}


def draw(
    patient: np.random.Generator, acquisition: np.random.Generator, view: str, finding: str | None, size: int
) -> Drawing:
    """A field of colon mucosa in H&E; see `base.Draw`."""
    tissue = mucosa(patient)
    rng = np.random.default_rng(patient.integers(2**63))  # the finding's own, so that it may draw as it likes
    turn, right, down, reach, blue, pink, thick = acquisition.uniform(
        (0, -0.3, -0.3, 1.2, 0.75, 0.75, 0.85), (2 * np.pi, 0.3, 0.3, 1.6, 1.3, 1.35, 1.15)
    ).tolist()
    pose = Pose(size=size, reach=reach, angle=turn, u=right, v=down, mirror=bool(acquisition.integers(2)))
    u, v = pose.plane()
    far = norm(u - tissue.middle[0], v - tissue.middle[1]) / np.float32(tissue.radius)
    region = smoothstep(1.06, 0.94, far + 0.2 * texture(tissue.weave, u, v, 1.5, 2))
    stroma = 0.6 + 0.25 * texture(tissue.weave, u, v, 5.0, 2)
    slide = Slide(
        tissue=tissue,
        pose=pose,
        u=u,
        v=v,
        region=region if finding else np.zeros_like(region),
        haematoxylin=np.full_like(u, 0.14),
        eosin=np.maximum(stroma, 0.1).astype(np.float32),
    )
    if finding:
        FINDINGS[finding](rng, slide)
    else:
        _healthy(slide, None)
    grain = 1 + 0.12 * texture(tissue.mottle, u, v, 14.0)  # chromatin and section thickness
    density = (blue * grain * slide.haematoxylin) * HAEMATOXYLIN + (pink * slide.eosin) * EOSIN
    light = np.float32(0.92) * np.exp(-np.float32(thick) * density)
    pixels = develop(light.astype(np.float32), acquisition, blur=0.7, noise=0.015, tint=0.03)
    return Drawing(pixels=pixels, mask=slide.region > 0.5)


MODALITIES: tuple[Modality, ...] = (
    Modality(name="histopathology", anatomy="colon", views=("h&e",), findings=tuple(FINDINGS), draw=draw),
)
