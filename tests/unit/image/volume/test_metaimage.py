from __future__ import annotations

import gzip
import time
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import dualsight.image
from dualsight.errors import ImageError, ImageTooLarge, UnreadableImage, UnsupportedImage
from dualsight.image.limits import Limits
from dualsight.image.reading import Reading
from dualsight.image.volume.decode import decode_volume
from dualsight.image.volume.metaimage import read_header
from dualsight.image.volume.nifti import decode_nifti
from dualsight.image.volume.voxel_file import decode_voxel_file
from dualsight.image.volume.voxels import Volume

FILES = Path(__file__).parents[3] / "data" / "volumes"
VALUES = np.arange(24, dtype="<i2").reshape(2, 3, 4)  # [z, y, x]


def metaimage(values: NDArray[Any] = VALUES, data: bytes | None = None, **fields: Any) -> bytes:
    """A .mha of [z, y, x]; fields of value None are left out."""
    header = {
        "ObjectType": "Image",
        "NDims": values.ndim,
        "BinaryData": True,
        "DimSize": " ".join(str(size) for size in values.shape[::-1]),
        "ElementType": "MET_SHORT",
        **fields,
        "ElementDataFile": fields.get("ElementDataFile", "LOCAL"),
    }
    lines = "".join(f"{key} = {value}\n" for key, value in header.items() if value is not None)
    return lines.encode() + (values.tobytes() if data is None else data)


def only(content: bytes | Path, **options: Any) -> Volume:
    (volume,) = decode_voxel_file(content, "brain.mha", read_header, **options)
    return volume


@pytest.mark.parametrize("name", ["oblique.mha", "oblique_zlib.mha", "oblique.mhd"])
def test_files_that_itk_wrote_are_the_nifti_that_it_wrote_of_the_same(name: str) -> None:
    (expected,) = decode_nifti(FILES / "oblique.nii", "brain.nii")
    volume = only(FILES / name)
    assert np.array_equal(volume.values, expected.values)
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-5)
    assert volume.spacing_mm == pytest.approx((0.75, 1.25, 2.5))
    assert nibabel.aff2axcodes(volume.affine) == ("R", "A", "S")
    assert (volume.meta.format, volume.meta.bits, volume.meta.note) == ("MetaImage", 16, None)


def test_axes_are_to_the_patients_left_back_and_head() -> None:
    matrix = "1 0 0 0 1 0 0 0 1"
    volume = only(metaimage(TransformMatrix=matrix, Offset="10 20 30", ElementSpacing="1 2 3", Modality="MET_MOD_MR"))
    assert volume.values.shape == (4, 3, 2)
    assert volume.values[3, 2, 0] == VALUES[0, 0, 0]  # the first voxel is the most right and front: last in RAS+
    assert (volume.affine @ [3, 2, 0, 1])[:3].tolist() == [-10, -20, 30]
    assert volume.meta.modality == "MR"


def test_a_rotation_is_stored_by_rows() -> None:
    """Each row is the direction of one axis: here x runs to the back, y to the right."""
    volume = only(metaimage(TransformMatrix="0 1 0 -1 0 0 0 0 1"))
    assert volume.values.shape == (3, 4, 2)
    assert volume.values[:, 0, 0].tolist() == [3, 7, 11]
    assert volume.values[0, :, 0].tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("type_name", "dtype"),
    [
        ("MET_CHAR", "i1"),
        ("MET_UCHAR", "u1"),
        ("MET_USHORT", "u2"),
        ("MET_INT", "i4"),
        ("MET_UINT", "u4"),
        ("MET_LONG_LONG", "i8"),
        ("MET_FLOAT", "f4"),
        ("MET_DOUBLE", "f8"),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_every_type_in_both_byte_orders(type_name: str, dtype: str, order: str) -> None:
    volume = only(metaimage(VALUES.astype(order + dtype), ElementType=type_name, BinaryDataByteOrderMSB=order == ">"))
    assert volume.values.dtype == np.dtype(dtype)
    assert np.array_equal(volume.values[::-1, ::-1], VALUES.T)


def test_the_same_voxels_in_every_wrapping(tmp_path: Path) -> None:
    packed = zlib.compress(VALUES.tobytes())
    (tmp_path / "raw").write_bytes(b"behind" + VALUES.tobytes())
    (tmp_path / "packed.zraw").write_bytes(packed)
    headers = {
        "local.mha": metaimage(),
        "zlib.mha": metaimage(data=packed, CompressedData=True, CompressedDataSize=len(packed)),
        "gzip.mha": metaimage(data=gzip.compress(VALUES.tobytes()), CompressedData=True),
        "last.mhd": metaimage(data=b"", HeaderSize=-1, ElementDataFile="raw"),
        "skip.mhd": metaimage(data=b"", HeaderSize=6, ElementDataFile="./raw"),
        "packed.mhd": metaimage(data=b"", CompressedData=True, ElementDataFile="packed.zraw"),
    }
    for name, data in headers.items():
        (tmp_path / name).write_bytes(data)
        assert np.array_equal(only(tmp_path / name).values[::-1, ::-1], VALUES.T), name
        assert len(list(dualsight.image.open(tmp_path / name))) == 2
    assert len(list(dualsight.image.open(gzip.compress(headers["zlib.mha"])))) == 2


def test_a_picture_is_one_slice_and_a_fourth_dimension_is_time() -> None:
    assert only(metaimage(VALUES[0])).values.shape == (4, 3, 1)
    series = np.stack([VALUES, VALUES + 100])
    first, second = decode_voxel_file(metaimage(series), "brain.mha", read_header)
    assert (first.n_times, second.time_index) == (2, 1)
    assert np.array_equal(second.values - first.values, np.full((4, 3, 2), 100))
    assert second.meta.note == "no orientation in the header; time point 2 of 2"


def test_a_window_is_chosen_as_for_other_volumes() -> None:
    assert only(metaimage()).view.name == "full range, 0 to 23"
    assert only(metaimage(), window=(40, 400)).view.name == "chosen window, centre 40, width 400"
    with pytest.raises(UnsupportedImage, match="display range"):
        only(metaimage(), window="dicom")


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (metaimage()[:-1], UnreadableImage, "truncated: 47 bytes of voxels, 48 expected"),
        (metaimage(data=zlib.compress(bytes(40)), CompressedData=True), UnreadableImage, "truncated: 40 bytes"),
        (metaimage(data=zlib.compress(VALUES.tobytes())[:-9], CompressedData=True), UnreadableImage, "truncated"),
        (metaimage(data=b"no zlib", CompressedData=True), UnreadableImage, "cannot be read"),
        (metaimage(VALUES * 0), UnreadableImage, "same value"),
        (metaimage(DimSize="0 3 4"), UnreadableImage, "sizes"),
        (metaimage(DimSize="-2 3 4"), UnreadableImage, "sizes"),
        (metaimage(NDims=40), UnreadableImage, "sizes"),
        (metaimage(NDims=None), UnreadableImage, "header is damaged"),
        (metaimage(DimSize="four 3 2"), UnreadableImage, "header is damaged"),
        (metaimage(TransformMatrix="1 0 0"), UnreadableImage, "header is damaged"),
        (metaimage(TransformMatrix="0 0 0 0 0 0 0 0 0"), UnreadableImage, "cannot be read"),
        (b"ObjectType = Image\nNDims = 3\n", UnreadableImage, "no end"),
        (b"ObjectType = Image\nno key\n", UnreadableImage, "no end"),
        (metaimage(ElementType="MET_SHORT_ARRAY"), UnsupportedImage, "real numbers"),
        (metaimage(ElementNumberOfChannels=3), UnsupportedImage, "real numbers"),
        (metaimage(BinaryData=False), UnsupportedImage, "as text"),
        (metaimage(ElementDataFile="LIST"), UnsupportedImage, "several files"),
        (metaimage(ElementDataFile="slice%03d.raw 1 9 1"), UnsupportedImage, "several files"),
        (metaimage(ElementDataFile="brain.raw"), UnsupportedImage, "in another file"),
    ],
)
def test_what_is_no_volume_to_show_is_refused(data: bytes, kind: type[ImageError], reason: str) -> None:
    with pytest.raises(kind, match=reason) as caught:
        only(data)
    assert str(caught.value).startswith("brain.mha: ")


def test_a_file_of_voxels_outside_the_folder_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(VALUES.tobytes())
    (folder / "link").symlink_to(secret)
    (folder / "below").mkdir()
    header = folder / "brain.mhd"
    elsewhere = dict.fromkeys(
        (str(secret), "../secret", "..\\secret", "C:secret", "..", "./../secret"), "not in the same"
    )
    for name, reason in {**elsewhere, ".": "same|missing", "below": "missing", "link": "leads out of"}.items():
        header.write_bytes(metaimage(data=b"", ElementDataFile=name))
        with pytest.raises(ImageError, match=reason) as caught:
            only(header)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("limits", [Limits(pixels=7), Limits(total_pixels=23), Limits(frames=1), Limits(file_bytes=40)])
def test_a_volume_over_a_limit_is_refused(limits: Limits) -> None:
    with pytest.raises(ImageTooLarge):
        only(metaimage(), limits=limits)


def test_a_header_may_not_promise_what_is_not_there() -> None:
    for packed in (False, True):
        data = metaimage(data=zlib.compress(bytes(100)), DimSize="4000 4000 10", CompressedData=packed)
        with pytest.raises(UnreadableImage, match="truncated"):
            only(data)
    with pytest.raises(ImageTooLarge):
        only(metaimage(DimSize="4000 4000 99999999999999"))


@settings(max_examples=200, deadline=None)  # counted below: a shared machine stalls
@given(st.data())
def test_mutated_files_give_slices_or_an_image_error_in_time(draw: st.DataObject) -> None:
    data = bytearray(metaimage(TransformMatrix="1 0 0 0 1 0 0 0 1", ElementSpacing="1 2 3", CompressedData=False))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    reading = Reading(limits=Limits(pixels=1_000_000))
    started = time.process_time()
    try:
        for frame in decode_volume(bytes(data), "brain.mha", reading):
            assert frame.pixels.dtype == np.uint8
    except ImageError as error:
        assert str(error).startswith("brain.mha")
    assert time.process_time() - started < 2


def test_a_file_of_voxels_whose_name_no_file_can_have_is_missing(tmp_path: Path) -> None:
    header = tmp_path / "brain.mhd"
    header.write_bytes(metaimage(data=b"", ElementDataFile="x" * 300))
    with pytest.raises(UnreadableImage, match="missing"):
        only(header)
