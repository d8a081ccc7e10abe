"""DICOM series and media made for a test: small files on disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from dicom_files import dicom_bytes

STANDARD_FILES = Path(__file__).parent / "data" / "images" / "pydicom"


def write_series(
    folder: Path, n: int = 4, *, study: str = "1.2.1", series: str = "1.2.1.1", places: bool = True, **attributes: Any
) -> list[Path]:
    """`n` CT slices of 8 × 8, named against their instance numbers, which are against their positions.

    Slice k, by position, holds 100·k + 0…63. Returned in order of position. places: whether they have positions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k in range(n):
        place = {
            "ImagePositionPatient": [0, 0, 5 * k],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [1, 1],
        }
        made = dicom_bytes(
            np.arange(64, dtype=np.int16).reshape(8, 8) + np.int16(100 * k),
            StudyInstanceUID=study,
            SeriesInstanceUID=series,
            **{
                "SOPInstanceUID": f"{series}.{k + 1}",
                "InstanceNumber": n - k,
                **(place if places else {}),
                **attributes,
            },
        )
        path = folder / f"{series}-{(k * 7 + 3) % 10}{k}.dcm"
        path.write_bytes(made)
        paths.append(path)
    return paths


def break_pixels(path: Path) -> Path:
    """The same header, and half of the last row gone."""
    path.write_bytes(path.read_bytes()[:-9])
    return path


def write_media(folder: Path, directory: str = "DICOMDIR", *, lower: bool = False) -> Path:
    """The DICOM standard's test medium, from pydicom: three patients, seven studies. Its DICOMDIR is returned."""
    for source in STANDARD_FILES.glob("dicomdirtests__*__*"):
        parts = source.name.split("__")[1:]
        if parts[0] != "TINY_ALPHA":
            target = folder.joinpath(*(part.lower() if lower else part for part in parts))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    path = folder / ("dicomdir" if lower else "DICOMDIR")
    shutil.copyfile(STANDARD_FILES / f"dicomdirtests__{directory}", path)
    return path
