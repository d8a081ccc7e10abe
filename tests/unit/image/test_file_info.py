from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import aff2axcodes
from pydicom.uid import EnhancedSRStorage

from dicom_files import PATIENT, dicom_bytes
from dualsight.errors import ImageError, UnreadableImage, UnsupportedImage
from dualsight.image import Item, Reading, scan
from dualsight.image.file_info import FULL_RANGE, FileInfo, describe_file
from picture_files import png

FILES = Path(__file__).parents[2] / "data" / "images"
GREY = np.arange(64, dtype=np.int16).reshape(8, 8)
NAMED = {
    "PatientName": PATIENT,
    "PatientID": "MRN-4711",
    "PatientBirthDate": "19700102",
    "StudyDate": "20200304",
    "AccessionNumber": "ACC-5",
    "InstitutionName": "General",
    "StudyInstanceUID": "1.2.840.99",
    "SeriesInstanceUID": "1.2.840.99.1",
}


def describe(data: bytes | Path, name: str = "chest.dcm", **reading: object) -> FileInfo:
    content = data if isinstance(data, Path) else lambda: data
    return describe_file(Item(name=name, content=content), Reading(**reading))  # type: ignore[arg-type]


def test_a_dicom_header_is_told_without_its_patient() -> None:
    info = describe(
        dicom_bytes(
            GREY,
            Modality="DX",
            BodyPartExamined="CHEST",
            ViewPosition="AP",
            PixelSpacing=[0.5, 0.25],
            WindowCenter=40,
            WindowWidth=400,
            **NAMED,
        )
    )
    assert (info.source, info.n_frames, info.prompt) == ("chest.dcm", 1, "x-ray chest anteroposterior")
    meta = info.meta
    assert (meta.format, meta.rows, meta.columns, meta.bits, meta.spacing_mm) == ("DICOM", 8, 8, 16, (0.5, 0.25))
    assert meta.window == "header window, centre 40, width 400"
    assert (info.sop_class, info.transfer_syntax) == ("CT Image Storage", "Explicit VR Little Endian")
    assert info.photometric_interpretation == "MONOCHROME2"
    for value in NAMED.values():
        assert value not in repr(info)


def test_pixels_are_not_decoded() -> None:
    cut = dicom_bytes(GREY)[:-20]
    with pytest.raises(UnreadableImage):
        list(Item(name="cut", content=lambda: cut).frames())
    assert describe(cut).n_frames == 1


def test_the_window_is_the_one_that_would_be_used() -> None:
    data = dicom_bytes(GREY)
    assert describe(data).meta.window == FULL_RANGE
    assert describe(data, window=(1, 2)).meta.window == "chosen window, centre 1, width 2"
    assert (describe(data, window="lung").meta.window or "").startswith("lung window")
    with pytest.raises(UnsupportedImage, match="no window"):
        describe(data, window="dicom")
    colour = dicom_bytes(np.zeros((4, 4, 3), np.uint8), SamplesPerPixel=3)
    assert describe(colour).meta.window is None


def test_frames_are_counted() -> None:
    assert describe(dicom_bytes(np.zeros((5, 4, 4), np.uint8))).n_frames == 5


def test_an_object_without_pixels_is_named() -> None:
    info = describe(dicom_bytes(None, SOPClassUID=EnhancedSRStorage, Modality="SR"))
    assert (info.sop_class, info.n_frames, info.meta.note) == ("Enhanced SR Storage", 0, "no pixels")


@pytest.mark.parametrize("zipped", [False, True])
def test_a_volume_tells_shape_spacing_and_how_it_was_stored(tmp_path: Path, zipped: bool) -> None:
    affine = np.diag([-1.0, 2.0, 3.0, 1.0])
    data = nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(4, 5, 6), affine).to_bytes()
    path = tmp_path / "brain"
    path.write_bytes(gzip.compress(data) if zipped else data)
    info = describe(path, "brain")
    assert info.volume is not None
    assert (info.volume.shape, info.volume.spacing_mm) == ((4, 5, 6), (1, 2, 3))
    assert (info.volume.stored_axes, info.volume.n_times) == ("LAS", 1)
    assert (info.n_frames, info.meta.window, info.meta.view) == (6, "full range, 0 to 119", "axial")
    assert describe(path, plane="sagittal").n_frames == 4


def test_real_volumes_have_nibabels_axes() -> None:
    for name in ("anatomical.nii", "someones_anatomy.nii.gz", "functional.nii"):
        path = FILES / "nibabel" / name
        info = describe(path)
        assert info.volume is not None
        assert info.volume.stored_axes == "".join(aff2axcodes(nibabel.load(path).affine))


def test_pictures_are_told_too(tmp_path: Path) -> None:
    data = png(np.zeros((4, 6, 3), np.uint8))
    info = describe(data, "a.png")
    assert (info.meta.format, info.n_frames, info.meta.rows, info.meta.columns, info.prompt) == ("PNG", 1, 4, 6, "")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", data)
    (item,) = scan(tmp_path / "x.zip")
    assert isinstance(item, Item) and describe_file(item).meta.format == "PNG"


def test_what_is_told_is_what_is_shown() -> None:
    """For every DICOM file in the test data: frames, size and window of the header are those of the frames."""
    compared = 0
    for path in sorted((FILES / "pydicom").iterdir()):
        item = Item(name=path.name, content=path)
        try:
            frame = next(item.frames())
        except ImageError:
            continue
        info = describe_file(item)
        assert (info.n_frames, info.meta.rows, info.meta.columns, info.meta.bits) == (
            frame.n_frames,
            frame.meta.rows,
            frame.meta.columns,
            frame.meta.bits,
        ), path.name
        if info.meta.window == FULL_RANGE:
            assert (frame.meta.window or "").startswith("full range"), path.name
        else:
            assert info.meta.window == frame.meta.window, path.name
        compared += 1
    assert compared > 90


@pytest.mark.parametrize("data", [b"", b"no picture at all", b"\x1f\x8b\x08\0rubbish", dicom_bytes(GREY)[:150]])
def test_what_cannot_be_read_is_an_image_error(data: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        describe(data)
    assert str(caught.value).startswith("chest.dcm: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="chest"):
        describe(tmp_path / "lost")


def test_a_file_zipped_twice_is_refused_as_everywhere() -> None:
    """A gzip file that holds itself was unpacked until Python gave up."""
    twice = gzip.compress(gzip.compress(png(np.zeros((2, 2, 3), np.uint8))))
    with pytest.raises(UnsupportedImage, match="what is inside is no picture"):
        describe(twice)
