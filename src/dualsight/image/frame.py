"""What every decoder yields: one picture as it is shown, and what its file said about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMeta:
    """What the file said about a picture; None where it said nothing. Names are DICOM's keywords where DICOM has one.

    No attribute here names a patient.
    """

    format: str | None = None  # "PNG", "DICOM", "NIfTI", …
    modality: str | None = None
    body_part: str | None = None
    view: str | None = None
    window: str | None = None  # the window used, in words
    rows: int | None = None  # as stored, before orientation
    columns: int | None = None
    bits: int | None = None  # a sample's, as stored
    spacing_mm: tuple[float, float] | None = None  # between rows, between columns
    tile_origin: tuple[int, int] | None = None  # (x, y) of a slide's tile; rows and columns are then those it covers
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None
    note: str | None = None  # what a reader of the result should know


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One 2-D picture as it is shown.

    pixels: uint8 [H, W, 3], RGB. source: the user's own name for it. frame_index counts from 0.
    """

    pixels: NDArray[np.uint8]
    source: str
    frame_index: int = 0
    n_frames: int = 1
    meta: FrameMeta = field(default_factory=FrameMeta)
