"""Volumes from files: NIfTI, and a DICOM series."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dualsight.image.frame import Frame
from dualsight.image.limits import Limits
from dualsight.image.nifti import decode_nifti
from dualsight.image.series import read_series
from dualsight.image.voi import Window
from dualsight.image.voxels import Plane, Volume

__all__ = ["Plane", "Volume", "decode_nifti", "decode_volume", "read_series"]


def decode_volume(
    data: bytes | Path,
    source: str,
    *,
    window: Window = "auto",
    plane: Plane = "axial",
    step_mm: float | None = None,
    limits: Limits | None = None,
) -> Iterator[Frame]:
    """The slices of a volume file as frames, see `Volume.slices`; those of a series in time one volume after another.

    Raises what `decode_nifti` and `Volume.slices` raise.
    """
    for volume in decode_nifti(data, source, window=window, limits=limits):
        yield from volume.slices(plane, step_mm, limits=limits)
