from __future__ import annotations

import gzip
import itertools
import random
import time
import tracemalloc
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

import dualsight.image
from dicom_files import dicom_bytes, item, items
from dualsight.errors import ConfigError, ImageError, ImageTooLarge, UnreadableImage, UnsupportedImage
from dualsight.image.limits import Limits
from dualsight.image.reading import Reading
from dualsight.image.volume.decode import decode_volume, decode_volumes
from dualsight.image.volume.nifti import decode_nifti, encode_nifti
from dualsight.image.volume.series import read_slices, stack_slices
from dualsight.image.volume.voxels import Volume

FILES = Path(__file__).parents[3] / "data" / "images"
SHAPES = {
    "nibabel/someones_anatomy.nii.gz": (57, 67, 56, 1),
    "nibabel/anatomical.nii": (33, 41, 25, 1),
    "nibabel/example_nifti2.nii.gz": (32, 20, 12, 2),
    "nibabel/functional.nii": (17, 21, 3, 20),
    "nilearn/mni152_t1.nii.gz": (197, 233, 189, 1),
}

# One bright voxel in the right, front, upper corner of a 4 × 5 × 6 volume in RAS+.
CORNER = np.zeros((4, 5, 6), np.int16)
CORNER[3, 4, 5] = 100


def nifti_bytes(
    values: NDArray[Any], affine: NDArray[np.float64] | None = None, *, version: int = 1, **header: Any
) -> bytes:
    kind = nibabel.Nifti2Image if version == 2 else nibabel.Nifti1Image
    image = kind(values, np.eye(4) if affine is None else affine)
    for key, value in header.items():
        image.header[key] = value
    return image.to_bytes()


def only(data: bytes | Path, **options: Any) -> Volume:
    (volume,) = decode_nifti(data, "brain.nii", **options)
    return volume


def picture(volume: Volume, plane: Any, index: int) -> NDArray[np.uint8]:
    return next(f for f in volume.slices(plane) if f.frame_index == index).pixels[..., 0]


# --- NIfTI


@pytest.mark.parametrize("name", SHAPES)
def test_the_manifests_volumes_have_their_shapes_and_nibabels_values(name: str) -> None:
    volumes = list(decode_nifti(FILES / name, name))
    canonical = nibabel.as_closest_canonical(nibabel.load(FILES / name))
    expected = np.asarray(canonical.dataobj).reshape(*canonical.shape[:3], -1)
    assert (*volumes[0].values.shape, len(volumes)) == SHAPES[name] == expected.shape
    for volume in volumes:
        assert np.array_equal(volume.values, expected[..., volume.time_index])
        assert np.allclose(volume.affine, canonical.affine)
        assert np.allclose(volume.spacing_mm, canonical.header.get_zooms()[:3], rtol=1e-4)


def test_every_orientation_becomes_ras() -> None:
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            to_ras = np.zeros((4, 4))
            to_ras[3, 3] = 1
            for axis in range(3):
                to_ras[axis, order[axis]] = signs[axis] * (axis + 1.0)  # 1, 2, 3 mm along R, A, S
            stored = np.flip(CORNER, [a for a in range(3) if signs[a] < 0]).transpose(np.argsort(order))
            volume = only(nifti_bytes(stored, to_ras))
            assert np.array_equal(volume.values, CORNER)
            assert volume.spacing_mm == pytest.approx((1, 2, 3))
            assert aff2axcodes(volume.affine) == ("R", "A", "S")
            assert volume.stored_axes == "".join(aff2axcodes(to_ras))
            bright = np.argwhere(stored == 100)[0]
            assert np.allclose(volume.affine @ [3, 4, 5, 1], to_ras @ [*bright, 1])


def test_slices_are_shown_in_radiological_convention() -> None:
    volume = only(nifti_bytes(CORNER))
    assert np.argwhere(picture(volume, "axial", 5)).tolist() == [[0, 0]]  # front at the top, right on the left
    assert np.argwhere(picture(volume, "coronal", 4)).tolist() == [[0, 0]]  # head at the top, right on the left
    assert np.argwhere(picture(volume, "sagittal", 3)).tolist() == [[0, 0]]  # head at the top, front on the left
    assert picture(volume, "axial", 5).shape == (5, 4)
    assert picture(volume, "coronal", 4).shape == (6, 4)
    assert picture(volume, "sagittal", 3).shape == (6, 5)
    assert picture(volume, "axial", 0).max() == 0


def test_slices_have_square_pixels_and_say_their_spacing() -> None:
    volume = only(nifti_bytes(CORNER, np.diag([1.0, 1.0, 3.0, 1.0])))
    frame = next(volume.slices("coronal"))
    assert frame.pixels.shape == (18, 4, 3)
    assert (frame.meta.rows, frame.meta.columns, frame.meta.spacing_mm) == (6, 4, (3.0, 1.0))
    assert (frame.meta.format, frame.meta.view, frame.n_frames) == ("NIfTI", "coronal", 5)


@pytest.mark.parametrize("thick", [1.0, 2.0])
def test_a_slice_goes_back_to_its_voxels(thick: float) -> None:
    values = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    volume = only(nifti_bytes(values, np.diag([1.0, 1.0, thick, 1.0])), window=(60, 120))
    for axis, plane in enumerate(("sagittal", "coronal", "axial")):
        for frame in volume.slices(plane):
            back = volume.with_slice(frame.pixels[..., 0].astype(np.float32), plane, frame.frame_index)
            index: list[Any] = [slice(None)] * 3
            index[axis] = frame.frame_index
            assert np.corrcoef(back[tuple(index)].ravel(), values[tuple(index)].ravel())[0, 1] > 0.98
            back[tuple(index)] = 0
            assert back.shape == values.shape and not back.any()


def test_what_lies_on_a_volume_is_written_with_its_affine() -> None:
    affine = np.array([[0, 2, 0, -9], [1, 0, 0, 5], [0, 0, 3, 1], [0, 0, 0, 1.0]])
    values = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
    image = nibabel.Nifti1Image.from_bytes(encode_nifti(values, affine))
    assert np.array_equal(np.asarray(image.dataobj), values) and np.allclose(image.affine, affine)
    assert image.get_data_dtype() == np.float32


def test_voxels_of_an_absurd_shape_are_damage() -> None:
    volume = only(nifti_bytes(CORNER, np.diag([1.0, 1.0, 1e30, 1.0])))
    assert next(volume.slices("axial")).pixels.shape == (5, 4, 3)
    with pytest.raises(UnreadableImage, match="is damage"):
        next(volume.slices("coronal"))


@pytest.mark.parametrize(
    ("step_mm", "picked"),
    [
        (None, [0, 1, 2, 3, 4, 5]),
        (1, [0, 1, 2, 3, 4, 5]),
        (2, [0, 1, 2, 3, 4, 5]),
        (4, [0, 2, 4]),
        (5, [0, 2, 5]),
        (99, [0]),
    ],
)
def test_a_step_takes_the_nearest_slices_once(step_mm: float | None, picked: list[int]) -> None:
    volume = only(nifti_bytes(CORNER, np.diag([1.0, 1.0, 2.0, 1.0])))
    assert [f.frame_index for f in volume.slices("axial", step_mm)] == picked


def test_a_slice_takes_its_own_memory_and_not_the_volumes() -> None:
    """Each once copied the whole volume: 189 slices of a brain took 27 seconds."""
    values = np.asfortranarray(np.arange(100 * 80 * 60, dtype=np.float32).reshape(100, 80, 60))
    volume = only(nifti_bytes(values))
    tracemalloc.start()
    try:
        for plane in ("axial", "coronal", "sagittal"):
            next(volume.slices(plane))
            tracemalloc.reset_peak()
            held = tracemalloc.get_traced_memory()[0]
            assert sum(1 for _ in volume.slices(plane)) > 50
            assert tracemalloc.get_traced_memory()[1] - held < values.nbytes / 2
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("step_mm", [0, -1, float("nan")])
def test_a_step_or_plane_that_cannot_be_meant_is_refused(step_mm: float) -> None:
    volume = only(nifti_bytes(CORNER))
    with pytest.raises(ConfigError, match="step_mm"):
        volume.slices("axial", step_mm)
    with pytest.raises(ConfigError, match="oblique"):
        volume.slices("oblique")  # type: ignore[arg-type]  # what a user may type


def test_one_window_serves_all_slices() -> None:
    ramp = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    shown = np.stack([f.pixels[..., 0] for f in only(nifti_bytes(ramp)).slices("axial")])
    assert (shown.min(), shown.max()) == (0, 255)
    assert picture(only(nifti_bytes(ramp)), "axial", 0).max() < 255
    assert next(only(nifti_bytes(ramp)).slices()).meta.window == "full range, 0 to 119"
    assert only(nifti_bytes(ramp, cal_min=10, cal_max=20)).view.name == "header range, 10 to 20"
    assert only(nifti_bytes(ramp), window=(40, 400)).view.name == "chosen window, centre 40, width 400"
    assert only(nifti_bytes(ramp), window="brain").view.name.startswith("brain")
    with pytest.raises(UnsupportedImage, match="display range"):
        only(nifti_bytes(ramp), window="dicom")


def test_scaling_of_the_header_is_applied() -> None:
    data = bytearray(nifti_bytes(CORNER))
    data[112:120] = np.array([0.5, -10], "<f4").tobytes()  # scl_slope, scl_inter
    assert only(bytes(data)).values.max() == 100 * 0.5 - 10


def test_points_in_time_follow_each_other() -> None:
    series = np.stack([CORNER, CORNER * 2, CORNER * 3], axis=-1)
    frames = list(decode_volume(nifti_bytes(series), "brain.nii", Reading()))
    assert [f.frame_index for f in frames] == list(range(18))
    assert {f.n_frames for f in frames} == {18}
    assert frames[6].meta.note == "time point 2 of 3"


def test_plain_and_gzipped_paths_and_bytes_of_both_versions_are_the_same(tmp_path: Path) -> None:
    for version in (1, 2):
        data = nifti_bytes(CORNER, version=version)
        plain, zipped = tmp_path / "a", tmp_path / "b"
        plain.write_bytes(data)
        zipped.write_bytes(gzip.compress(data))
        for source in (data, gzip.compress(data), plain, zipped):
            assert np.array_equal(only(source).values, CORNER)
        assert len(list(dualsight.image.open(zipped))) == 6


def test_no_orientation_is_told() -> None:
    data = bytearray(nifti_bytes(CORNER))
    data[252:256] = bytes(4)  # qform_code, sform_code
    assert only(bytes(data)).meta.note == "no orientation in the header"


def test_numbers_that_are_none_are_black_and_do_not_count() -> None:
    values = CORNER.astype(np.float32)
    values[0, 0, 0] = np.nan
    values[0, 0, 1] = np.inf
    volume = only(nifti_bytes(values))
    assert volume.view.name == "full range, 0 to 100"
    assert picture(volume, "axial", 0).max() == 0


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (nifti_bytes(np.zeros((2, 2, 2), np.int16)), UnreadableImage, "same value"),
        (nifti_bytes(np.full((2, 2, 2), np.nan, np.float32)), UnreadableImage, "no voxel"),
        (nifti_bytes(CORNER)[:-10], UnreadableImage, "truncated: 230 bytes of voxels, 240 expected"),
        (nifti_bytes(CORNER.astype(np.complex64)), UnsupportedImage, "real"),
        (nifti_bytes(CORNER.astype([("R", "u1"), ("G", "u1"), ("B", "u1")])), UnsupportedImage, "real"),
        (nifti_bytes(np.zeros((2, 2, 2, 1, 3), np.float32)), UnsupportedImage, "vectors"),
        (nifti_bytes(CORNER).replace(b"n+1\0", b"ni1\0"), UnsupportedImage, "another file"),
        (b"NRRD0004\n# made by hand" + bytes(500), UnsupportedImage, "NRRD"),
        (nifti_bytes(CORNER)[:100], UnreadableImage, "damaged"),
    ],
)
def test_what_is_no_volume_to_show_is_refused(data: bytes, kind: type[ImageError], reason: str) -> None:
    with pytest.raises(kind, match=reason) as caught:
        only(data)
    assert str(caught.value).startswith("brain.nii: ")


@pytest.mark.parametrize(
    "limits",
    [Limits(pixels=20), Limits(total_pixels=100), Limits(frames=3), Limits(file_bytes=500), Limits(file_bytes=900)],
)
def test_a_volume_over_a_limit_is_refused(limits: Limits) -> None:
    with pytest.raises(ImageTooLarge):
        only(nifti_bytes(CORNER), limits=limits)


def test_a_header_may_not_promise_more_than_there_is() -> None:
    data = bytearray(nifti_bytes(CORNER))
    data[42:48] = np.array([20000, 20000, 1], "<i2").tobytes()  # dim[1…3]
    with pytest.raises(ImageError, match=r"truncated|limit"):
        only(bytes(data))


def test_a_gzip_bomb_is_refused() -> None:
    with pytest.raises(ImageTooLarge):
        only(gzip.compress(nifti_bytes(CORNER) + bytes(1_000_000)), limits=Limits(file_bytes=10_000))


def test_mutated_volumes_give_slices_or_an_image_error_in_time() -> None:
    original = nifti_bytes(CORNER, np.diag([1.0, 2.0, 3.0, 1.0]))
    generator = random.Random(4)
    for _ in range(150):
        data = bytearray(original)
        for _ in range(generator.choice([1, 2, 4])):
            data[generator.randrange(352)] = generator.choice([0, 1, 127, 128, 255, generator.randrange(256)])
        started = time.process_time()
        try:
            for frame in decode_volume(bytes(data), "brain.nii", Reading(limits=Limits(pixels=1_000_000))):
                assert frame.pixels.dtype == np.uint8
        except ImageError as error:
            assert str(error).startswith("brain.nii")
        assert time.process_time() - started < 5


def test_voxels_far_beyond_the_window_are_shown_without_a_warning() -> None:
    """Found by fuzzing: dividing by a tiny range of the header overflows."""
    values = np.zeros((2, 3, 1), np.float32)
    values[0, 0] = 1e30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = only(nifti_bytes(values, np.eye(4), cal_max=1e-30))
        (frame,) = shown.slices()
    assert frame.pixels.max() == 255 and frame.pixels.min() == 0


# --- DICOM series


def series(
    n_slices: int = 6,
    *,
    step: tuple[float, float, float] = (0.0, 0.0, 2.0),
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    **attributes: Any,
) -> list[bytes]:
    """CT slices of `CORNER`'s shape, 5 rows × 4 columns; slice k holds the values 100·k + 0…19. LPS+: z to the head."""
    made = []
    for k in range(n_slices):
        position = [-10.0 + step[0] * k, -20.0 + step[1] * k, 30.0 + step[2] * k]
        values = np.arange(20, dtype=np.int16).reshape(5, 4) + np.int16(100 * k)
        made.append(
            dicom_bytes(
                values,
                **{
                    "ImagePositionPatient": position,
                    "ImageOrientationPatient": list(orientation),
                    "PixelSpacing": [1.5, 0.5],
                    "SeriesInstanceUID": "1.2.3",
                    "InstanceNumber": n_slices - k,  # against the position
                    "RescaleSlope": 1,
                    "RescaleIntercept": -1000,
                    **attributes,
                },
            )
        )
    return made


def shuffled(files: list[bytes]) -> list[bytes]:
    return random.Random(1).sample(files, len(files))


def stacked(files: Iterable[bytes | Path], source: str, *, window: Any = "auto") -> Volume:
    return stack_slices([one for file in files for one in read_slices(file, source, window=window)], source)


def test_a_series_is_sorted_by_position_and_reoriented() -> None:
    volume = stacked(shuffled(series()), "chest")
    assert volume.values.shape == (4, 5, 6)
    assert volume.spacing_mm == pytest.approx((0.5, 1.5, 2.0))
    assert aff2axcodes(volume.affine) == ("R", "A", "S")
    # LPS: column 0 of row 0 is right and front, so it is the last in RAS+
    assert volume.values[3, 4].tolist() == [100.0 * k - 1000 for k in range(6)]
    assert volume.values[0, 0, 0] == 19 - 1000
    assert (volume.affine @ [3, 4, 0, 1])[:3].tolist() == [10, 20, 30]  # the first pixel's place, in RAS
    assert volume.meta.note is None
    assert volume.meta.modality == "CT" and volume.meta.series_instance_uid == "1.2.3"


def test_an_axial_series_is_shown_as_its_files_are() -> None:
    volume = stacked(shuffled(series(PixelSpacing=[1, 1])), "chest", window=(-700, 600))
    for k, data in enumerate(series(PixelSpacing=[1, 1])):
        (frame,) = dualsight.image.open(data, window=(-700, 600))
        assert np.array_equal(picture(volume, "axial", k), frame.pixels[..., 0])


def test_a_sagittal_series_comes_into_the_same_order() -> None:
    # rows to the back, columns to the feet, slices from right to left
    volume = stacked(shuffled(series(step=(2.0, 0.0, 0.0), orientation=(0, 1, 0, 0, 0, -1))), "spine")
    assert volume.values.shape == (6, 4, 5)
    assert volume.values[:, 3, 4].tolist() == [100.0 * k - 1000 for k in reversed(range(6))]
    sagittal = next(volume.slices("sagittal", limits=None))
    assert sagittal.pixels.shape[0] == 15  # five rows of 1.5 mm at 0.5 mm


def test_duplicates_gaps_and_uneven_distances_are_told() -> None:
    files = series(8)
    assert "1 slices at a place already taken" in (stacked([*files, files[3]], "x").meta.note or "")
    assert stacked([*files, files[3]], "x").values.shape[2] == 8
    gap = stacked(files[:3] + files[4:], "x").meta.note or ""
    assert gap == "1 gaps, the widest 4 mm where 2 mm is usual"
    odd = [*files, *series(1, step=(0, 0, 0), ImagePositionPatient=[-10, -20, 46.4])]
    assert (stacked(odd, "x").meta.note or "") == "uneven distances, 2 to 2.4 mm"


def test_a_tilted_gantry_is_told_and_a_straight_one_is_not() -> None:
    tilted = stacked(series(step=(0.0, 2.0 * np.tan(np.radians(15)), 2.0)), "head")
    assert tilted.meta.note == "gantry tilted by 15.0°, slices are not sheared"
    # oblique slices whose positions follow their normal are not tilted
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    straight = stacked(series(step=(0.0, -2 * s, 2 * c), orientation=(1, 0, 0, 0, c, s)), "head")
    assert straight.meta.note is None


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"SeriesInstanceUID": "1.2.4"}, "series"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "orientation"),
        ({"PixelSpacing": [1, 1]}, "pixel spacing"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "photometric"),
    ],
)
def test_what_does_not_belong_together_is_refused(other: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedImage, match=f"differ in .*{reason}"):
        stacked([*series(3), *series(1, **other)], "mixed")


def test_a_slice_without_a_place_and_an_empty_series_are_refused() -> None:
    with pytest.raises(UnsupportedImage, match="lacks position"):
        stacked([dicom_bytes(np.arange(4, dtype=np.int16).reshape(2, 2))], "chest")
    with pytest.raises(UnreadableImage, match="without slices"):
        stacked([], "chest")


def test_the_window_of_a_series_is_the_middle_slices_or_its_full_range() -> None:
    files = [data for k in range(3) for data in series(3, WindowCenter=10 * k + 10, WindowWidth=100)[k : k + 1]]
    assert stacked(files, "chest").view.name == "header window, centre 20, width 100"
    assert stacked(series(), "chest").view.name == "full range, -1000 to -481"
    padded = series(PixelPaddingValue=0)
    assert stacked(padded, "chest").view.name == "full range, -999 to -481"
    assert stacked(series(), "chest", window="lung").view.name.startswith("lung")


def test_an_enhanced_object_is_a_volume_by_its_functional_groups() -> None:
    values = np.stack([np.full((5, 4), k, np.int16) for k in range(3)])
    places = items(*(item(PlanePositionSequence=items(item(ImagePositionPatient=[0, 0, z]))) for z in (30, 10, 20)))
    shared = item(
        PlaneOrientationSequence=items(item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])),
        PixelMeasuresSequence=items(item(PixelSpacing=[1, 1])),
    )
    data = dicom_bytes(values, PerFrameFunctionalGroupsSequence=places, SharedFunctionalGroupsSequence=items(shared))
    volume = stacked([data], "enhanced")
    assert volume.values[0, 0].tolist() == [1, 2, 0]
    assert volume.spacing_mm[2] == 10


def test_one_slice_takes_its_thickness() -> None:
    assert stacked(series(1, SliceThickness=5), "chest").spacing_mm[2] == 5


def test_the_standards_test_set_is_read_without_a_warning() -> None:
    """pydicom's DICOMDIR samples: four slices of one real CT, cut down to 16 × 16."""
    files = sorted((FILES / "pydicom").glob("dicomdirtests__77654033__CT2__*"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        volume = stacked(files, "CT2")
    assert volume.values.shape[2] == len(files) == 4
    heights = [(volume.affine @ [0, 0, k, 1])[2] for k in range(4)]
    assert heights == sorted(heights)


def test_slices_whose_places_make_no_space_are_damage() -> None:
    with pytest.raises(UnreadableImage, match="chest: the places of its slices are damaged"):
        stacked(series(3, PixelSpacing=[1e-7, 1e-7]), "chest")


@pytest.mark.parametrize("name", ["oblique.mha", "oblique.nrrd", "oblique.nii"])
def test_every_volume_file_may_be_gzipped(name: str, tmp_path: Path) -> None:
    path = FILES.parent / "volumes" / name
    zipped = tmp_path / "zipped"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    (expected,) = decode_volumes(path, name, Reading())
    for content in (zipped, zipped.read_bytes()):
        (volume,) = decode_volumes(content, name, Reading())
        assert np.array_equal(volume.values, expected.values) and volume.meta == expected.meta
