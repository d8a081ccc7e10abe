"""Volumes from files: NIfTI, NRRD, MetaImage, and a DICOM series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from dualsight.image.frame import Frame
from dualsight.image.reading import Reading
from dualsight.image.sniff import read_head
from dualsight.image.volume.metaimage import decode_metaimage
from dualsight.image.volume.nifti import decode_nifti
from dualsight.image.volume.nrrd import decode_nrrd
from dualsight.image.volume.series import read_series
from dualsight.image.volume.voxels import Volume

__all__ = [
    "Volume",
    "decode_metaimage",
    "decode_nifti",
    "decode_nrrd",
    "decode_volume",
    "decode_volumes",
    "read_series",
]


def decode_volume(data: bytes | Path, source: str, reading: Reading) -> Iterator[Frame]:
    """The slices of a volume file as frames, see `Volume.slices`; those of a series in time one volume after another.

    Raises what the decoders and `Volume.slices` raise.
    """
    for volume in decode_volumes(data, source, reading):
        yield from volume.slices(reading.plane or "axial", reading.step_mm, limits=reading.limits)


def decode_volumes(data: bytes | Path, source: str, reading: Reading) -> Iterator[Volume]:
    """The volumes of a volume file, one for each point in time. Raises what the decoders raise."""
    decode = _decoder(read_head(data, source))
    return decode(data, source, window=reading.window, limits=reading.limits)


def _decoder(head: bytes) -> Callable[..., Iterator[Volume]]:
    if head.startswith(b"NRRD"):
        return decode_nrrd
    return decode_metaimage if head.startswith((b"ObjectType", b"NDims")) else decode_nifti
