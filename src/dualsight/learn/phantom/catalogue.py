"""All modalities, and phantoms drawn from them: a patient, a view, a finding → a picture whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.learn.phantom import (
    ct,
    dermoscopy,
    endoscopy,
    fundus,
    histology,
    mammography,
    mri,
    oct,
    ultrasound,
    xray,
)
from dualsight.learn.phantom.base import Modality, Side

MODALITIES: tuple[Modality, ...] = (
    *xray.MODALITIES,
    *ct.MODALITIES,
    *mri.MODALITIES,
    *mammography.MODALITIES,
    *ultrasound.MODALITIES,
    *oct.MODALITIES,
    *fundus.MODALITIES,
    *dermoscopy.MODALITIES,
    *histology.MODALITIES,
    *endoscopy.MODALITIES,
)

HELD_OUT = 1_000_000_000
"""Patients from this number on are never trained on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Phantom:
    """A drawn picture and its truth.

    pixels: uint8 [S, S, 3]. mask: bool [S, S], where the finding is. finding: None in a normal picture.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    modality: Modality
    view: str
    finding: str | None
    side: Side | None
    patient: int

    @property
    def prompt(self) -> str:
        """The caption in MedImageInsight's style."""
        return self.modality.prompt(self.view, self.finding)

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom (exclusive) of the finding, in pixels; None without one."""
        rows, columns = np.nonzero(self.mask)
        if not len(rows):
            return None
        return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def draw(
    modality: Modality, view: str, finding: str | None, *, patient: int, image: int = 0, size: int = 256
) -> Phantom:
    """The picture `image` of `patient`: the same numbers give the same bytes."""
    anatomy = np.random.default_rng([patient, 0])
    acquisition = np.random.default_rng([patient, 1, image])
    drawing = modality.draw(anatomy, acquisition, view, finding, size)
    pixels = drawing.pixels
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return Phantom(
        pixels=pixels,
        mask=drawing.mask,
        modality=modality,
        view=view,
        finding=finding,
        side=drawing.side,
        patient=patient,
    )


def draw_many(
    first_patient: int,
    n: int,
    *,
    size: int = 256,
    normal: float = 0.25,
    modalities: Sequence[Modality] = MODALITIES,
) -> Iterator[Phantom]:
    """One picture of each of n patients: modalities in turn, a view and a finding by chance.

    `normal` is the share of pictures without a finding.
    """
    for i in range(n):
        patient = first_patient + i
        choice = np.random.default_rng([patient, 2])
        modality = modalities[i % len(modalities)]
        view = str(choice.choice(modality.views))
        finding = None if choice.random() < normal else str(choice.choice(modality.findings))
        yield draw(modality, view, finding, patient=patient, size=size)
