"""Volumes from files: NIfTI, NRRD and MetaImage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dualsight.image.frame import Frame
from dualsight.image.reading import Reading
from dualsight.image.sniff import read_head
from dualsight.image.unpack import unzipped
from dualsight.image.volume import metaimage, nrrd
from dualsight.image.volume.nifti import decode_nifti
from dualsight.image.volume.voxel_file import decode_voxel_file
from dualsight.image.volume.voxels import Volume


def decode_volume(data: bytes | Path, source: str, reading: Reading) -> Iterator[Frame]:
    """The slices of a volume file as frames, see `Volume.slices`; those of a series in time one volume after another.

    Raises what the decoders and `Volume.slices` raise.
    """
    for volume in decode_volumes(data, source, reading):
        yield from volume.slices(reading.plane or "axial", reading.step_mm, limits=reading.limits)


def decode_volumes(data: bytes | Path, source: str, reading: Reading) -> Iterator[Volume]:
    """The volumes of a volume file, plain or gzipped, one for each point in time. Raises what the decoders raise."""
    data = unzipped(data, source, reading.limits)
    head = read_head(data, source)
    options: dict[str, Any] = {"window": reading.window, "limits": reading.limits}
    if head.startswith(b"NRRD"):
        return decode_voxel_file(data, source, nrrd.read_header, **options)
    if head.startswith((b"ObjectType", b"NDims")):
        return decode_voxel_file(data, source, metaimage.read_header, **options)
    return decode_nifti(data, source, **options)
