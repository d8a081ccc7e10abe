from __future__ import annotations

import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_files import dicom_bytes, item, items
from dualsight.errors import FetchError, ImageError, UnreadableImage
from dualsight.image import Frame, Item, Limits, Reading, Series, Study, group, scan
from dualsight.image.volume import series as series_module
from series_files import STANDARD_FILES, break_pixels, write_series


def series_in(folder: Path, name: str = "chest") -> Series:
    items = tuple(Item(name=str(path), content=path) for path in sorted(folder.iterdir()))
    return Series(name=name, items=items)


def frames_of(thing: Series | Study, **reading: object) -> list[Frame]:
    found = list(thing.frames(Reading(**reading)))  # type: ignore[arg-type]
    assert all(isinstance(one, Frame) for one in found), found
    return found  # type: ignore[return-value]


def values_in(frames: list[Frame]) -> list[float]:
    return [float(frame.pixels.mean()) for frame in frames]


def test_a_series_with_positions_is_its_volumes_slices_in_order_with_one_window(tmp_path: Path) -> None:
    write_series(tmp_path)
    frames = frames_of(series_in(tmp_path))
    assert values_in(frames) == sorted(values_in(frames))
    assert {frame.meta.window for frame in frames} == {"full range, 0 to 363"}
    assert {frame.source for frame in frames} == {"chest"}
    assert {(frame.meta.series_instance_uid, frame.meta.sop_instance_uid) for frame in frames} == {("1.2.1.1", None)}
    assert {frame.meta.note for frame in frames} == {None}
    assert [frame.frame_index for frame in frames] == [0, 1, 2, 3]


def test_the_step_is_in_millimetres(tmp_path: Path) -> None:
    write_series(tmp_path, 5)  # 5 mm apart
    assert [frame.frame_index for frame in frames_of(series_in(tmp_path), step_mm=10)] == [0, 2, 4]


@pytest.mark.parametrize(
    ("orientation", "step", "plane"),
    [
        ([1, 0, 0, 0, 1, 0], [0, 0, 5], "axial"),
        ([1, 0, 0, 0, 0, -1], [0, 5, 0], "coronal"),
        ([0, 1, 0, 0, 0, -1], [5, 0, 0], "sagittal"),
        ([0, -1, 0, 0, 0, 1], [-5, 0, 0], "sagittal"),
        ([0.9, 0.1, 0.424, 0, 0.973, -0.229], [-2, 1, 4.4], "axial"),  # oblique
    ],
)
def test_slices_are_those_acquired_unless_a_plane_is_named(
    tmp_path: Path, orientation: list[float], step: list[float], plane: str
) -> None:
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    row = row / np.linalg.norm(row)
    column = column - row * (row @ column)
    column = column / np.linalg.norm(column)
    for k in range(3):
        position = [s * k for s in step]
        (path,) = write_series(
            tmp_path, 1, ImagePositionPatient=position, ImageOrientationPatient=[*row, *column], InstanceNumber=k
        )
        path.rename(path.with_suffix(f".{k}"))
    frames = frames_of(series_in(tmp_path))
    assert len(frames) == 3 and {frame.meta.view for frame in frames} == {plane}
    assert {frame.pixels.shape[:2] for frame in frames} == {(8, 8)}
    asked = frames_of(series_in(tmp_path), plane="coronal" if plane != "coronal" else "axial")
    assert len(asked) == 8 and {frame.meta.view for frame in asked} != {plane}


@pytest.mark.parametrize(
    ("why", "attributes"),
    [("lacks position", {"places": False}), ("colour", {"PhotometricInterpretation": "PALETTE COLOR"})],
)
def test_what_is_no_volume_is_its_files_one_after_another(
    tmp_path: Path, why: str, attributes: dict[str, object]
) -> None:
    if "PhotometricInterpretation" in attributes:
        pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
        for k in range(3):
            data = dicom_bytes(pixels, SamplesPerPixel=3, SeriesInstanceUID="1.2", SOPInstanceUID=f"1.2.{k}")
            (tmp_path / f"{k}.dcm").write_bytes(data)
    else:
        write_series(tmp_path, 3, places=False)
    frames = frames_of(series_in(tmp_path))
    assert len(frames) == 3
    assert {frame.source for frame in frames} == {"chest"}
    assert len({frame.meta.sop_instance_uid for frame in frames}) == 3
    for frame in frames:
        assert frame.meta.note is not None
        assert frame.meta.note.startswith("no volume, frame by frame: ") and why in frame.meta.note


def test_sizes_that_differ_are_noticed_before_the_rest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path, 4)
    odd = tmp_path / "0-first.dcm"
    place = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]}
    odd.write_bytes(dicom_bytes(np.arange(16, dtype=np.int16).reshape(4, 4), SeriesInstanceUID="1.2.1.1", **place))
    opened: list[str] = []
    load = Item.load
    monkeypatch.setattr(Item, "load", lambda item: opened.append(item.name) or load(item))
    frames = frames_of(series_in(tmp_path))
    assert len(frames) == 5 and "size" in (frames[0].meta.note or "")
    assert len(opened) == 2 + 5


def test_one_file_is_no_reason_for_a_note(tmp_path: Path) -> None:
    write_series(tmp_path, 1, places=False)
    (frame,) = frames_of(series_in(tmp_path))
    assert frame.meta.note is None and frame.source == "chest"


@pytest.mark.parametrize("places", [True, False])
def test_a_broken_file_fails_by_name_and_the_rest_goes_on(tmp_path: Path, places: bool) -> None:
    broken = break_pixels(write_series(tmp_path, 4, places=places)[1])
    found = list(series_in(tmp_path).frames())
    errors = [thing for thing in found if isinstance(thing, ImageError)]
    assert [error.source for error in errors] == [str(broken)]
    assert len(found) - len(errors) == 3


def test_a_series_of_broken_files_has_errors_alone(tmp_path: Path) -> None:
    for path in write_series(tmp_path, 3):
        break_pixels(path)
    found = list(series_in(tmp_path).frames())
    assert len(found) == 3 and all(isinstance(thing, UnreadableImage) for thing in found)
    assert {thing.source for thing in found} == {item.name for item in series_in(tmp_path).items}


def test_gaps_are_told(tmp_path: Path) -> None:
    write_series(tmp_path, 6)[2].unlink()
    assert frames_of(series_in(tmp_path))[0].meta.note == "1 gaps, the widest 10 mm where 5 mm is usual"


def test_a_volume_over_the_limit_goes_frame_by_frame(tmp_path: Path) -> None:
    paths = write_series(tmp_path, 6)
    limits = Limits(file_bytes=max(path.stat().st_size for path in paths) + 100)
    frames = frames_of(series_in(tmp_path), limits=limits)
    assert len(frames) == 6 and "limit" in (frames[0].meta.note or "")


def test_a_study_is_its_series_under_one_name(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 3, series="1.2.1.1")
    write_series(tmp_path / "b", 2, series="1.2.1.2", places=False)
    study = Study(name="patient", series=(series_in(tmp_path / "a"), series_in(tmp_path / "b")))
    frames = frames_of(study)
    assert [frame.meta.series_instance_uid for frame in frames] == ["1.2.1.1"] * 3 + ["1.2.1.2"] * 2
    assert {frame.source for frame in frames} == {"patient"}


def test_a_series_in_an_archive_is_the_same_and_goes_to_another_process(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, path.name)
    (zipped,) = group(scan(tmp_path / "export.zip"), per="series")
    (plain,) = group(scan(tmp_path / "in"), per="series")
    assert isinstance(zipped, Series) and isinstance(plain, Series)
    again = pickle.loads(pickle.dumps(zipped))  # noqa: S301 - made here
    assert again == zipped
    for one, other in zip(frames_of(again), frames_of(plain), strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_the_standards_ct_is_a_volume() -> None:
    files = sorted(STANDARD_FILES.glob("dicomdirtests__77654033__CT2__*"))
    series = Series(name="CT2", items=tuple(Item(name=path.name, content=path) for path in files))
    frames = frames_of(series)
    assert len(frames) == 4 and frames[0].meta.view == "axial"


def test_a_file_that_a_server_does_not_give_is_one_error_beside_the_volume_of_the_rest(tmp_path: Path) -> None:
    def lost() -> bytes:
        raise FetchError("503 Service Unavailable", source="lost")

    write_series(tmp_path)
    whole = series_in(tmp_path)
    found = list(replace(whole, items=(*whole.items, Item(name="lost", content=lost))).frames())
    assert [thing.source for thing in found if isinstance(thing, ImageError)] == ["lost"]
    assert [thing.meta.note for thing in found if isinstance(thing, Frame)] == [None] * 4


def test_a_file_of_many_slices_is_counted_slice_by_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole file of them was once held before their bytes were looked at."""
    places = items(*(item(PlanePositionSequence=items(item(ImagePositionPatient=[0, 0, z]))) for z in range(10)))
    shared = item(
        PlaneOrientationSequence=items(item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])),
        PixelMeasuresSequence=items(item(PixelSpacing=[1, 1])),
    )
    values = np.random.default_rng(0).integers(0, 256, (10, 64, 64), np.uint8)  # 16 KiB each as float32
    enhanced = dicom_bytes(
        values, PerFrameFunctionalGroupsSequence=places, SharedFunctionalGroupsSequence=items(shared)
    )
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(enhanced)
    decoded: list[int] = []
    read = series_module.read_slices
    monkeypatch.setattr(
        series_module,
        "read_slices",
        lambda *words, **options: (decoded.append(1) or one for one in read(*words, **options)),
    )
    frames = frames_of(series_in(tmp_path), limits=Limits(file_bytes=50_000))
    assert len(decoded) == 4 and "limit" in (frames[0].meta.note or "")
