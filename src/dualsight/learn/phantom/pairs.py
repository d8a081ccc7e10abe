"""Two pictures of a patient that differ by the finding alone, so that a model learns to look at it and nothing else.

of one acquisition      ─▶ anatomy, positioning and noise tell nothing
surroundings exchanged  ─▶ nor does what goes with the finding: a stone's shadow, what a mass pushes aside
surroundings hidden     ─▶ nor does what happens to be elsewhere; a picture without its detail is nothing new
blurred as a whole      ─▶ and a finding finer than the blur is gone: what is left of it elsewhere tells nothing
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dualsight.learn.phantom.base import Modality
from dualsight.learn.phantom.catalogue import MODALITIES, Phantom, draw, draw_many

HEALTHY = 0.5  # share of the patients with a finding whose second picture has none
EXCHANGED = 0.5  # of these
BLURRED = 0.1  # of all patients
HIDDEN = 0.5  # of all others
MARGIN = 0.01  # around a finding, of the side
CELLS = 8  # a side, of what is hidden or not
BLURS = (0.04, 0.16)  # standard deviation, of the side


def draw_pairs(
    first_patient: int, n: int, *, size: int = 256, modalities: Sequence[Modality] = MODALITIES
) -> Iterator[Phantom]:
    """Two pictures of each of n patients in turn, of the modalities in turn.

    The second lacks the first's finding, or has another one; a quarter of the first are without any.
    """
    for first in draw_many(first_patient, n, size=size, modalities=modalities):
        choice = np.random.default_rng([first.patient, 3])
        others = [finding for finding in first.modality.findings if finding != first.finding]
        is_healthy = first.finding is not None and choice.random() < HEALTHY
        other = None if is_healthy else str(choice.choice(others))
        second = draw(first.modality, first.view, other, patient=first.patient, size=size)
        if is_healthy and choice.random() < EXCHANGED:
            first, second = exchanged(first, second)
        if choice.random() < BLURRED:
            sigma = choice.uniform(*BLURS)
            first, second = blurred(first, sigma), blurred(second, sigma)
        elif choice.random() < HIDDEN:
            first, second = partly_hidden(first, second, choice)
        yield from (first, second)


def exchanged(found: Phantom, healthy: Phantom) -> tuple[Phantom, Phantom]:
    """Both with the other's surroundings: all but the finding's place and a soft margin around it."""
    change = _near(found.mask) * (found.pixels.astype(np.float32) - healthy.pixels)
    return (
        replace(found, pixels=np.rint(healthy.pixels + change).astype(np.uint8)),
        replace(healthy, pixels=np.rint(found.pixels - change).astype(np.uint8)),
    )


def partly_hidden(first: Phantom, second: Phantom, choice: np.random.Generator) -> tuple[Phantom, Phantom]:
    """Both blurred in the same places by chance, and sharp where either has a finding: that place tells nothing."""
    side = len(first.mask)
    cells = (choice.random((CELLS, CELLS)) < choice.uniform(0.1, 0.8)).astype(np.float32)
    by_chance = ndimage.zoom(cells, side / CELLS, order=1, mode="nearest", grid_mode=True)[..., None]
    shown = np.maximum(by_chance, _near(first.mask | second.mask))  # [S, S, 1]
    sigma = side * choice.uniform(*BLURS)

    def hide(phantom: Phantom) -> Phantom:
        hidden = _blur(phantom.pixels, sigma)
        return replace(phantom, pixels=np.rint(hidden + shown * (phantom.pixels - hidden)).astype(np.uint8))

    return hide(first), hide(second)


def blurred(phantom: Phantom, sigma: float) -> Phantom:
    """Blurred by a part of its side; without its finding where a disk of that area is finer than the blur."""
    pixels = np.rint(_blur(phantom.pixels, sigma * len(phantom.mask))).astype(np.uint8)
    if math.sqrt(phantom.mask.mean() / math.pi) >= sigma:
        return replace(phantom, pixels=pixels)
    return replace(phantom, pixels=pixels, mask=np.zeros_like(phantom.mask), finding=None, side=None)


def _blur(pixels: NDArray[np.uint8], sigma: float) -> NDArray[np.float32]:
    """[S, S, 3] → the same, sigma in pixels."""
    return np.asarray(ndimage.gaussian_filter(pixels.astype(np.float32), (sigma, sigma, 0), mode="reflect"))


def _near(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """float32 [S, S, 1]: 1 in the mask [S, S] and its margin, falling to 0 within another one."""
    if not mask.any():
        return np.zeros((*mask.shape, 1), np.float32)
    away = ndimage.distance_transform_edt(~mask) / (MARGIN * len(mask))
    return np.clip(2 - away, 0, 1).astype(np.float32)[..., None]
