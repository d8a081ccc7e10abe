"""What a phantom is: a procedural picture whose truth is known.

Each modality has one file beside this one, which draws by a simplified physics of that modality and
registers itself as a `Modality`. A patient's anatomy comes from one generator and the acquisition
(noise, contrast, position, artefacts) from another, so that several pictures show the same patient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Side = Literal["left", "right"]
SIDES: tuple[Side, ...] = get_args(Side)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One drawn picture.

    pixels: uint8, [H, W] grey or [H, W, 3] RGB, as it would be displayed.
    mask: bool [H, W], where the finding is; all False without one.
    side: the patient's side of the finding where that means anything (image left is patient right in
    radiological display), else None.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    side: Side | None = None


Draw = Callable[[np.random.Generator, np.random.Generator, str, str | None, int], Drawing]
"""draw(patient, acquisition, view, finding or None, size) → Drawing of size × size.

`patient` is consumed in the same order whatever `finding` is, so that one patient keeps one anatomy.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """One kind of picture: how it is called in prompts, what can be found on it, and how to draw it."""

    name: str  # as MedImageInsight's prompts say it: "x-ray", "mri", "ct", "ultrasound", …
    anatomy: str  # "chest", "brain", …
    views: tuple[str, ...]  # "anteroposterior", "axial t2", …; ("",) where views mean nothing
    findings: tuple[str, ...]  # "pneumonia", …: the words that captions use
    draw: Draw
    normal: str = "no finding"

    def prompt(self, view: str, finding: str | None) -> str:
        """The caption in MedImageInsight's prompt style: modality, anatomy, view, finding."""
        words = (self.name, self.anatomy, view, finding or self.normal)
        return " ".join(word for word in words if word)
