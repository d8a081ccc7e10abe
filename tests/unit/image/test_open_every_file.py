"""Every file of the manifest through the one door: the shapes that its peer found, or an error that names it."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import nibabel
import PIL
import pytest

import dualsight.image
from dualsight.errors import ImageError, UnsupportedImage

FOLDER = Path(__file__).parents[2] / "data" / "images"
ROWS = {row["path"]: row for row in csv.DictReader((FOLDER / "manifest.csv").read_text().splitlines())}

PICTURES = {"PNG", "JPEG", "MPO", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000", "AVIF"}
TURNED = {"avif__rot1mir0.avif", "orientation_rectangle.jpg"}  # stored lying on their side
# What the peer gives up on and is read: frames, rows, columns.
MENDED = {
    "pydicom/JPEG-lossy.dcm": (1, 1024, 256),  # its scan header has zeros where the standard has one choice
    "pydicom/badVR.dcm": (15, 10, 10),  # its number of frames is "1A"
    "pydicom/no_meta.dcm": (1, 128, 128),  # a stray byte, then a data set without meta header
    "pydicom/zipMR.gz": (1, 64, 64),  # a DICOM file, compressed
}
# What the peer reads and is refused: formats that are not read, and animations with a later frame missing or moved.
UNREAD = {"DDS", "TGA", "ICO", "SGI", "IM", "PSD", "FLI", "PCX"}
BROKEN = {"apng__chunk_repeat_fctl.png", "apng__sequence_reorder_chunk.png", "apng__sequence_repeat_chunk.png"}
if int(PIL.__version__.split(".")[0]) < 13:  # which the peer is, and Gradio does not go with: damage in a fax's lines
    BROKEN |= {"crash-74d2a78403a5a59db1fb0a2b8735ac068a75f6e3.tif"}

READ = {
    path
    for path, row in ROWS.items()
    if path in MENDED
    or (row["peer_result"] == "decodes" and row["format"] not in UNREAD and Path(path).name not in BROKEN)
}


def test_the_manifest_lists_every_file() -> None:
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert found - {"README.md", "manifest.csv"} == set(ROWS)
    assert {ROWS[path]["format"] for path in READ} == PICTURES | {"dicom", "nifti", "raster"}


@pytest.mark.parametrize("path", sorted(READ))
def test_what_is_read_has_the_manifests_shape(path: str) -> None:
    n_frames, rows, columns = expected_shape(path)
    n_found = 0
    for n_found, frame in enumerate(dualsight.image.open(FOLDER / path), start=1):
        assert (frame.frame_index, frame.n_frames) == (n_found - 1, n_frames)
        assert (frame.pixels.dtype, frame.pixels.shape[2]) == ("uint8", 3)
        if n_found == 1:  # later ones of a file may have a size of their own
            if ROWS[path]["format"] == "nifti":  # whose pixels are then made square
                assert (frame.meta.rows, frame.meta.columns) == (rows, columns)
            else:
                assert frame.pixels.shape[:2] == ((columns, rows) if Path(path).name in TURNED else (rows, columns))
    assert n_found == n_frames


def expected_shape(path: str) -> tuple[int, int, int]:
    """Frames, and the rows and columns of the first, from what the manifest says of the file."""
    if path in MENDED:
        return MENDED[path]
    row = ROWS[path]
    shape = [int(n) for n in re.findall(r"\d+", row["peer_detail"].split(")")[0])]
    if row["format"] == "nifti":  # axial slices, each from right to left and from back to front
        x, y, z = nibabel.as_closest_canonical(nibabel.load(FOLDER / path)).shape[:3]
        assert sorted((x, y, z)) == sorted(shape[:3])
        return z * math.prod(shape[3:]), y, x
    if row["format"] == "dicom":
        colour = len(shape) > 2 and shape[-1] == 3
        n_frames, rows, columns = (1, *(shape[:-1] if colour else shape))[-3:]
        return n_frames, rows, columns
    rows, columns, n_frames = (int(n) for n in re.findall(r"(\d+)x(\d+) \S+ (\d+)f", row["peer_detail"])[0])
    return n_frames, rows, columns


@pytest.mark.parametrize("path", sorted(set(ROWS) - READ))
def test_the_rest_is_refused_by_name(path: str) -> None:
    known = ROWS[path]["format"] in UNREAD or ROWS[path]["peer_result"] == "no-pixels"
    with pytest.raises(UnsupportedImage if known else ImageError) as raised:
        list(dualsight.image.open(FOLDER / path, source="my file"))
    assert str(raised.value).startswith("my file")
    assert len(raised.value.problem) > len("damaged")
