"""Explanations into files, by the suffix: drawn, the bare maps, on a volume's voxels, or a DICOM Secondary Capture."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

import numpy as np
import typer

from dualsight.image.dicom.file import open_dicom
from dualsight.image.dicom.secondary_capture import secondary_capture
from dualsight.image.frame import Frame
from dualsight.image.limits import Limits
from dualsight.image.reading import Plane, Reading
from dualsight.image.source import Item
from dualsight.image.unpack import unzipped
from dualsight.interface.overlay import RESEARCH, draw_overlay
from dualsight.interface.whole_file import whole_file
from dualsight.task.explain.explain import Explanation

SUFFIXES = (".png", ".npy", ".npz", ".nii", ".nii.gz", ".dcm")
VOLUMES = ("NIfTI", "NRRD", "MetaImage")


def check_output(output: Path) -> None:
    """Raises BadParameter for a suffix that says no format."""
    if not output.name.lower().endswith(SUFFIXES):
        message = f"{output} ends in none of {', '.join(SUFFIXES)}"
        raise typer.BadParameter(message, param_hint="--output")


def check_frame(output: Path, frame: Frame) -> None:
    """Raises BadParameter for a .dcm of what is no DICOM, and a .nii of what is no volume."""
    match output.suffix.lower():
        case ".nii" | ".gz" if frame.meta.format not in VOLUMES:
            message = "the picture is no volume file, so there are no voxels that a .nii could lie on"
        case ".dcm" if frame.meta.format != "DICOM":
            message = "the picture is no DICOM, so there is no study that a .dcm could belong to"
        case _:
            return
    raise typer.BadParameter(message, param_hint="--output")


def write_explanations(
    explanations: Sequence[Explanation], output: Path, item: Item, reading: Reading, key: bytes | None
) -> None:
    """All maps of one frame of `item`, opened by `reading`, into one file that `check_frame` lets pass.

    key: of `--deidentify`. Raises OutputError where the file cannot be written.
    """
    match output.suffix.lower():
        case ".png":
            _write_png(explanations, output)
        case ".npy":
            with whole_file(output) as file:
                np.save(file, np.stack([explanation.map for explanation in explanations]), allow_pickle=False)
        case ".npz":
            _write_npz(explanations, output)
        case ".nii" | ".gz":
            _write_nifti(explanations, output, item, reading)
        case _:
            _write_dicom(explanations, output, item, key)


def _write_png(explanations: Sequence[Explanation], output: Path) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    chunks.add_itxt("Description", _described(explanations))
    with whole_file(output) as file:
        Image.fromarray(draw_overlay(explanations)).save(file, "PNG", pnginfo=chunks)


def _write_npz(explanations: Sequence[Explanation], output: Path) -> None:
    """maps float32 [n, H, W]; of each its label, similarity and unit."""
    with whole_file(output) as file:
        np.savez(
            file,
            allow_pickle=False,
            maps=np.stack([explanation.map for explanation in explanations]),
            labels=np.array([explanation.label for explanation in explanations]),
            against=np.array([", ".join(explanation.against) for explanation in explanations]),
            similarities=np.array([explanation.similarity for explanation in explanations]),
            units=np.array([explanation.unit for explanation in explanations]),
            method=np.array(explanations[0].method),
            model=np.array(explanations[0].model),
        )


def _write_nifti(explanations: Sequence[Explanation], output: Path, item: Item, reading: Reading) -> None:
    """float32 [X, Y, Z, n maps] on the volume's own voxels, 0 but in the slice that was explained."""
    from dualsight.image.volume.decode import decode_volumes
    from dualsight.image.volume.nifti import encode_nifti

    frame = explanations[0].frame
    volume = next(decode_volumes(item.load(), item.name, reading))  # others are later in time, on the same voxels
    plane = cast(Plane, frame.meta.view)
    maps = [volume.with_slice(explanation.map, plane, frame.frame_index) for explanation in explanations]
    data = encode_nifti(np.stack(maps, axis=-1), volume.affine)
    with whole_file(output) as file:
        file.write(gzip.compress(data) if output.suffix.lower() == ".gz" else data)


def _write_dicom(explanations: Sequence[Explanation], output: Path, item: Item, key: bytes | None) -> None:
    with open_dicom(unzipped(item.load(), item.name, Limits()), item.name, Limits()) as original:
        made = secondary_capture(
            draw_overlay(explanations),
            original.header,
            series="heat map, not a diagnosis",
            derivation=_described(explanations),
            now=datetime.now(),
            key=key,
        )
    buffer = io.BytesIO()  # a full disk is told by the file itself: pydicom would quote its own code and an element
    made.save_as(buffer, enforce_file_format=True)
    with whole_file(output) as file:
        file.write(buffer.getvalue())


def _described(explanations: Sequence[Explanation]) -> str:
    """How the file was made, without the picture's name, which may be a patient's."""
    first = explanations[0]
    return f"dualsight explain: method {first.method}, model {first.model}; {first.notice or RESEARCH}"
