from __future__ import annotations

import bz2
import gzip
import random
import time
import tracemalloc
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
from dualsight.image.volume.nifti import decode_nifti
from dualsight.image.volume.nrrd import read_header
from dualsight.image.volume.voxel_file import decode_voxel_file
from dualsight.image.volume.voxels import Volume

FILES = Path(__file__).parents[3] / "data" / "volumes"
VALUES = np.arange(24, dtype="<i2").reshape(2, 3, 4)  # [z, y, x]
EYE = "(1,0,0) (0,1,0) (0,0,1)"


def nrrd(values: NDArray[Any] = VALUES, data: bytes | None = None, **fields: Any) -> bytes:
    """A .nrrd of [z, y, x]; blanks in field names are underscores here, fields of value None are left out."""
    header = {
        "type": "short",
        "dimension": values.ndim,
        "sizes": " ".join(str(size) for size in values.shape[::-1]),
        "endian": "little",
        "encoding": "raw",
        **fields,
    }
    lines = "".join(f"{key.replace('_', ' ')}: {value}\n" for key, value in header.items() if value is not None)
    return (
        b"NRRD0004\n# by hand\nsecret:=Doe^Jane\n"
        + lines.encode()
        + b"\n"
        + (values.tobytes() if data is None else data)
    )


def only(content: bytes | Path, **options: Any) -> Volume:
    (volume,) = decode_voxel_file(content, "brain.nrrd", read_header, **options)
    return volume


@pytest.mark.parametrize("name", ["oblique.nrrd", "oblique_gzip.nrrd", "oblique.nhdr"])
def test_files_that_itk_wrote_are_the_nifti_that_it_wrote_of_the_same(name: str) -> None:
    (expected,) = decode_nifti(FILES / "oblique.nii", "brain.nii")
    volume = only(FILES / name)
    assert np.array_equal(volume.values, expected.values)
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-5)
    assert nibabel.aff2axcodes(volume.affine) == ("R", "A", "S")
    assert (volume.meta.format, volume.meta.bits, volume.meta.note) == ("NRRD", 16, None)


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", (1, 1, 1)),
        ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("LAS", (-1, 1, 1)),
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
    ],
)
def test_every_space_becomes_ras(space: str, signs: tuple[int, int, int]) -> None:
    volume = only(nrrd(space=space, space_directions="(0.5,0,0) (0,2,0) (0,0,3)", space_origin="(10,20,30)"))
    assert np.array_equal(volume.values[:: signs[0], :: signs[1], :: signs[2]], VALUES.T)
    first = [0 if sign > 0 else size - 1 for sign, size in zip(signs, (4, 3, 2), strict=True)]
    assert (volume.affine @ [*first, 1])[:3].tolist() == [10 * signs[0], 20 * signs[1], 30 * signs[2]]
    assert volume.spacing_mm == (0.5, 2, 3)
    assert volume.meta.note is None


def test_without_a_space_axes_are_lps_and_the_note_says_so() -> None:
    volume = only(nrrd(spacings="0.5 2 3"))
    assert np.array_equal(volume.values[::-1, ::-1], VALUES.T)
    assert volume.spacing_mm == (0.5, 2, 3)
    assert volume.meta.note == "no orientation in the header"


def test_units_become_millimetres() -> None:
    directions = {"space": "RAS", "space_directions": EYE}
    assert only(nrrd(**directions, space_units='"cm" "cm" "cm"')).spacing_mm == (10, 10, 10)
    with pytest.raises(UnsupportedImage, match="units"):
        only(nrrd(**directions, space_units='"s" "s" "s"'))


def test_points_in_time_may_be_the_first_axis_or_the_last() -> None:
    series = np.stack([VALUES, VALUES + 100])
    directions = "(1,0,0) (0,1,0) (0,0,1)"
    last = nrrd(series, kinds="domain domain domain list", space="RAS", space_directions=f"{directions} none")
    first = nrrd(
        np.ascontiguousarray(np.moveaxis(series, 0, -1)),
        kinds="list domain domain domain",
        space="RAS",
        space_directions=f"none {directions}",
    )
    itk = nrrd(
        series,
        kinds="domain domain domain domain",
        space_dimension=4,
        space_directions="(-1,0,0,0) (0,-1,0,0) (0,0,1,0) (0,0,0,1)",
        space_origin="(0,0,0,0)",
    )
    for data in (last, first, itk):
        one, two = decode_voxel_file(data, "brain.nrrd", read_header)
        assert np.array_equal(one.values, VALUES.T)
        assert np.array_equal(two.values, VALUES.T + 100)
        assert (two.time_index, two.n_times) == (1, 2)


def test_a_picture_in_space_is_one_slice() -> None:
    volume = only(nrrd(VALUES[0], space="RAS", space_directions="(0,2,0) (0,0,3)", space_origin="(1,2,3)"))
    assert volume.values.shape == (1, 4, 3)
    assert volume.spacing_mm == (1, 2, 3)


@pytest.mark.parametrize(
    ("type_name", "dtype"),
    [
        ("signed char", "i1"),
        ("uchar", "u1"),
        ("unsigned short", "u2"),
        ("int", "i4"),
        ("uint32_t", "u4"),
        ("long long", "i8"),
        ("float", "f4"),
        ("double", "f8"),
    ],
)
@pytest.mark.parametrize("order", ["little", "big"])
def test_every_type_in_both_byte_orders(type_name: str, dtype: str, order: str) -> None:
    values = VALUES.astype((">" if order == "big" else "<") + dtype)
    volume = only(nrrd(values, type=type_name, endian=order if dtype[1] != "1" else None))
    assert volume.values.dtype == np.dtype(dtype)
    assert np.array_equal(volume.values[::-1, ::-1], VALUES.T)


def test_the_same_voxels_in_every_wrapping(tmp_path: Path) -> None:
    raw = VALUES.tobytes()
    (tmp_path / "raw").write_bytes(b"behind" + raw)
    (tmp_path / "packed.raw.gz").write_bytes(gzip.compress(raw))
    headers = {
        "raw.nrrd": nrrd(),
        "dos.nrrd": nrrd(data=b"").replace(b"\n", b"\r\n") + raw,
        "skip.nrrd": nrrd(data=b"123" + raw, byte_skip=3),
        "last.nrrd": nrrd(data=b"1234567" + raw, byte_skip=-1),
        "gzip.nrrd": nrrd(data=gzip.compress(raw), encoding="gzip"),
        "members.nrrd": nrrd(data=gzip.compress(raw[:10]) + gzip.compress(raw[10:]), encoding="gz"),
        "bzip2.nrrd": nrrd(data=bz2.compress(raw), encoding="bzip2"),
        "last.nhdr": nrrd(data=b"\n", data_file="raw", byte_skip=-1),
        "packed.nhdr": nrrd(data=b"\n", data_file="./packed.raw.gz", encoding="gzip"),
    }
    for name, data in headers.items():
        (tmp_path / name).write_bytes(data)
        assert np.array_equal(only(tmp_path / name).values[::-1, ::-1], VALUES.T), name
        assert len(list(dualsight.image.open(tmp_path / name))) == 2
    assert len(list(dualsight.image.open(headers["gzip.nrrd"]))) == 2
    (tmp_path / "bare.nhdr").write_bytes(nrrd(data_file="raw", byte_skip=-1).split(b"\n\n")[0] + b"\n")
    assert only(tmp_path / "bare.nhdr").values.shape == (4, 3, 2)


@pytest.mark.parametrize("noise", [0, 1, 250])
def test_large_voxels_are_unpacked_in_parts(noise: int) -> None:
    """Over several blocks of input and of output, from the well packed to what cannot be packed."""
    values = np.random.default_rng(4).integers(0, noise + 1, (40, 256, 256), dtype=np.uint8)
    values[0, 0, 0], values[0, 0, 1] = 255, 254
    for encoding, packed in (
        ("gzip", gzip.compress(values.tobytes(), 1)),
        ("bzip2", bz2.compress(values.tobytes(), 1)),
    ):
        volume = only(nrrd(values, data=packed, type="uchar", encoding=encoding))
        assert np.array_equal(volume.values[::-1, ::-1], values.T)


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (nrrd()[:-1], UnreadableImage, "truncated: 47 bytes of voxels, 48 expected"),
        (nrrd(data=gzip.compress(bytes(40)), encoding="gzip"), UnreadableImage, "truncated: 40 bytes"),
        (nrrd(data=gzip.compress(VALUES.tobytes())[:-12], encoding="gzip"), UnreadableImage, "truncated"),
        (nrrd(data=b"no gzip here", encoding="gzip"), UnreadableImage, "cannot be read"),
        (nrrd(VALUES * 0), UnreadableImage, "same value"),
        (nrrd(sizes="0 3 2"), UnreadableImage, "sizes"),
        (nrrd(sizes="-4 3 2"), UnreadableImage, "sizes"),
        (nrrd(dimension=400), UnreadableImage, "sizes"),
        (nrrd(sizes=None), UnreadableImage, "header is damaged"),
        (nrrd(endian=None), UnreadableImage, "header is damaged"),
        (nrrd(byte_skip=-2), UnreadableImage, "byte skip"),
        (nrrd(space="RAS", space_directions="(1,0,0) (0,1,0)"), UnreadableImage, "in space"),
        (nrrd(space="RAS", space_directions="(1,0,0) (1,0,0) (0,0,1)"), UnreadableImage, "cannot be read"),
        (nrrd(space="RAS", space_directions="(nan,0,0) (0,1,0) (0,0,1)"), UnreadableImage, "cannot be read"),
        (b"NRRD0004\ntype: short\n", UnreadableImage, "no end"),
        (nrrd(type="block"), UnsupportedImage, "real numbers"),
        (nrrd(encoding="ascii"), UnsupportedImage, "way that is not read"),
        (nrrd(line_skip=1), UnsupportedImage, "way that is not read"),
        (nrrd(kinds="vector domain domain"), UnsupportedImage, "vectors"),
        (nrrd(kinds="RGB-color domain domain", space_directions="none (1,0,0) (0,1,0)"), UnsupportedImage, "vectors"),
        (nrrd(data_file="LIST"), UnsupportedImage, "several files"),
        (nrrd(data_file="brain%03d.raw 1 9 1"), UnsupportedImage, "several files"),
        (nrrd(data_file="brain.raw"), UnsupportedImage, "in another file"),
    ],
)
def test_what_is_no_volume_to_show_is_refused(data: bytes, kind: type[ImageError], reason: str) -> None:
    with pytest.raises(kind, match=reason) as caught:
        only(data)
    assert str(caught.value).startswith("brain.nrrd: ")
    assert "Doe" not in str(caught.value)


def test_a_file_of_voxels_outside_the_folder_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(VALUES.tobytes())
    header = folder / "brain.nhdr"
    for name in (str(tmp_path / "secret"), "../secret", "missing"):
        header.write_bytes(nrrd(data=b"\n", data_file=name))
        with pytest.raises(ImageError, match=r"same folder|missing"):
            only(header)


@pytest.mark.parametrize("limits", [Limits(pixels=7), Limits(total_pixels=23), Limits(frames=1), Limits(file_bytes=40)])
def test_a_volume_over_a_limit_is_refused(limits: Limits) -> None:
    with pytest.raises(ImageTooLarge):
        only(nrrd(), limits=limits)


def test_a_bomb_is_unpacked_no_further_than_the_header_says() -> None:
    data = nrrd(data=gzip.compress(VALUES.tobytes() + bytes(300_000_000), 1), encoding="gzip")
    tracemalloc.start()
    assert only(data).values.shape == (4, 3, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_header_may_not_promise_what_is_not_there() -> None:
    for encoding in ("raw", "gzip"):
        with pytest.raises(UnreadableImage, match="truncated"):
            only(nrrd(data=gzip.compress(bytes(100)), sizes="4000 4000 10", encoding=encoding))
    with pytest.raises(ImageTooLarge):
        only(nrrd(sizes="4000 4000 99999999999999"))


@settings(max_examples=200, deadline=None)  # counted below: a shared machine stalls
@given(st.randoms(use_true_random=False), st.booleans())
def test_mutated_files_give_slices_or_an_image_error_in_time(generator: random.Random, packed: bool) -> None:
    wrapping = {"data": gzip.compress(VALUES.tobytes()), "encoding": "gzip"} if packed else {}
    data = bytearray(nrrd(space="LPS", space_directions=EYE, space_origin="(0,0,0)", kinds="domain " * 3, **wrapping))
    for _ in range(generator.randint(1, 4)):
        data[generator.randrange(len(data))] = generator.choice([0, 10, 32, 45, 48, 57, 255, generator.randrange(256)])
    started = time.process_time()
    try:
        for frame in decode_volume(bytes(data), "brain.nrrd", Reading(limits=Limits(pixels=1_000_000))):
            assert frame.pixels.dtype == np.uint8
    except ImageError as error:
        assert str(error).startswith("brain.nrrd")
    assert time.process_time() - started < 2
