"""How a file is to be shown: what a user may choose about a picture before it is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dualsight.image.limits import Limits

# A window: by header or full range ("auto"), by header only ("dicom"), (centre, width) in modality values, or a name
# from voi.CT_WINDOWS.
Window: TypeAlias = str | tuple[float, float]
Plane: TypeAlias = Literal["axial", "coronal", "sagittal"]
TILE_PX = 480  # a slide's tile fills the encoder's picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Choices for one file; whatever has no use for one leaves it.

    window: for DICOM and volumes, see `dicom.decode_dicom`. square_pixels: DICOM frames are resampled where pixels are
    not square. plane, step_mm: of a volume's slices, see `Volume.slices`; without a plane, a DICOM series has that in
    which it was acquired and a volume file the axial one. tile_px, mpp: side of a slide's tiles and micrometres to one
    of their pixels, see `Slide.tiles`; without mpp as fine as scanned. limits: how large a file may be.
    """

    window: Window = "auto"
    square_pixels: bool = False
    plane: Plane | None = None
    step_mm: float | None = None
    tile_px: int = TILE_PX
    mpp: float | None = None
    limits: Limits = field(default_factory=Limits)
