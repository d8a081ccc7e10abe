"""Volumes from files: NIfTI, and a DICOM series."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dualsight.image.frame import Frame
from dualsight.image.nifti import decode_nifti
from dualsight.image.reading import Reading
from dualsight.image.series import read_series
from dualsight.image.voxels import Volume

__all__ = ["Volume", "decode_nifti", "decode_volume", "read_series"]


def decode_volume(data: bytes | Path, source: str, reading: Reading) -> Iterator[Frame]:
    """The slices of a volume file as frames, see `Volume.slices`; those of a series in time one volume after another.

    Raises what `decode_nifti` and `Volume.slices` raise.
    """
    for volume in decode_nifti(data, source, window=reading.window, limits=reading.limits):
        yield from volume.slices(reading.plane, reading.step_mm, limits=reading.limits)
