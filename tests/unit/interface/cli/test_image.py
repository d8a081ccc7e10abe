from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dualsight
from dicom_files import PATIENT, dicom_bytes
from dualsight.image.deidentify import KEY, hashed_name, hashed_uid
from dualsight.image.prepare import normalise, resize
from dualsight.image.reading import Reading
from series_files import write_media, write_series

FILES = Path(__file__).parents[3] / "data" / "images"
SECRET = b"sixteen bytes or more"
CINE = FILES / "pydicom" / "SC_rgb_rle_2frame.dcm"
BRAIN = FILES / "nibabel" / "anatomical.nii"


@pytest.fixture
def slice_(tmp_path: Path) -> Path:
    path = tmp_path / "Doe_Jane.dcm"
    values = np.arange(20 * 30, dtype=np.int16).reshape(20, 30)
    path.write_bytes(dicom_bytes(values, StudyInstanceUID="1.2.99", WindowCenter=300, WindowWidth=400))
    return path


def test_info_in_words(run, slice_: Path) -> None:
    result = run("image", "info", slice_, BRAIN)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == str(slice_) and str(BRAIN) in lines
    said = {" ".join(line.split()) for line in lines}
    assert {
        "window header window, centre 300, width 400",
        "frames 1 of 20 rows × 30 columns",
        "prompt ct",
        "sop class CT Image Storage",
        "transfer syntax Explicit VR Little Endian",
        "volume 33 × 41 × 25 voxels to the right, front and head, 1 in time",
        "stored axes LAS (where each grows to)",
    } <= said
    assert PATIENT not in result.stdout and "4711" not in result.stdout and "1.2.99" not in result.stdout


def test_info_as_json(run, slice_: Path, broken: Path) -> None:
    result = run("image", "info", slice_, broken, "--window", "lung", "--json")
    assert result.exit_code == 1
    good, bad = json.loads(result.stdout)["results"]
    assert good["source"] == str(slice_) and good["window"].startswith("lung window")
    assert (good["n_frames"], good["rows"], good["columns"], good["bits"]) == (1, 20, 30, 16)
    assert (good["prompt"], good["volume"]) == ("ct", None)
    assert bad["source"] == str(broken) and "error" in bad
    assert f"error: {broken}: " in result.stderr


def test_deidentified_info_has_hashes_and_defined_terms(
    run, tmp_path: Path, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, SECRET.decode())
    path = tmp_path / "Doe_Jane.dcm"
    values = np.arange(20 * 30, dtype=np.int16).reshape(20, 30)
    path.write_bytes(dicom_bytes(values, BodyPartExamined="DOE CHEST", ViewPosition="AP", SOPClassUID="1.2.99.4"))
    result = run("image", "info", path, broken, "--deidentify", "--json")
    good, bad = json.loads(result.stdout)["results"]
    assert good["source"] == hashed_name(str(path), SECRET)
    assert (good["modality"], good["body_part"], good["view"]) == ("CT", None, "AP")
    assert good["prompt"] == "ct anteroposterior"
    assert good["sop_class"] == hashed_uid("1.2.99.4", SECRET)
    assert good["transfer_syntax"] == "Explicit VR Little Endian"
    assert bad["source"] == hashed_name(str(broken), SECRET)
    for word in ("Doe", "DOE", "1.2.99", broken.name):
        assert word not in result.output
    plain = json.loads(run("image", "info", path, "--json").stdout)["results"][0]
    assert (plain["source"], plain["body_part"], plain["sop_class"]) == (str(path), "DOE CHEST", "1.2.99.4")


def test_info_of_nothing(run, tmp_path: Path) -> None:
    result = run("image", "info", tmp_path)
    assert result.exit_code == 1 and "no pictures found" in result.stderr


def test_info_walks_media(run, tmp_path: Path) -> None:
    result = run("image", "info", write_media(tmp_path), "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["results"]) == 31


def test_show_writes_the_bytes_that_the_model_sees(run, weights: Path, slice_: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    result = run("image", "show", slice_, "-o", out, "--model", weights)
    assert result.exit_code == 0, result.stderr
    model = dualsight.load(weights)
    (frame,) = dualsight.image.open(slice_)
    with Image.open(out) as picture:
        pixels = np.asarray(picture)
        assert picture.mode == "RGB"
    assert np.array_equal(pixels, resize(frame.pixels, model.config.preprocessing))
    seen = normalise(pixels, model.config.preprocessing)
    np.testing.assert_array_equal(model.engine.encode_images(seen[None])[0], model.encode_image(slice_)[0])


def test_show_names_the_window_and_no_patient(run, slice_: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    result = run("image", "show", slice_, "-o", out, "--full-size")
    assert "header window, centre 300, width 400" in result.stdout
    with Image.open(out) as picture:
        assert picture.size == (30, 20)
        assert picture.text["Window"] == "header window, centre 300, width 400"
        assert picture.text["Frame"] == "0 of 1, counted from 0"
        (frame,) = dualsight.image.open(slice_)
        assert np.array_equal(np.asarray(picture), frame.pixels)
    data = out.read_bytes()
    for secret in (b"Doe", b"4711", b"1.2.99"):
        assert secret not in data


def test_show_of_a_frame_a_plane_and_a_window(run, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    arguments = ("image", "show", BRAIN, "-o", out, "--full-size", "--plane", "sagittal", "--window", "1000,2000")
    for number, extra in ((33 // 2, ()), (4, ("--frame", 4)), (0, ("--frame", 0))):
        result = run(*arguments, *extra)
        assert f"{number} of 33" in result.stdout
        frames = list(dualsight.image.open(BRAIN, plane="sagittal", window=(1000, 2000)))
        with Image.open(out) as picture:
            assert np.array_equal(np.asarray(picture), frames[number].pixels)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((CINE, "-o", "out.png", "--frame", 2), 2, "0 to 1"),
        ((CINE, "-o", "out.png", "--frame", -1), 2, "frame"),
        ((CINE, "-o", "out.jpg"), 2, ".png"),
        ((CINE, "-o", "no/such/out.png"), 1, "no folder"),
        (("lost.dcm", "-o", "out.png"), 1, "lost.dcm"),
        ((CINE, "-o", "out.png", "--window", "lungs"), 2, "lungs"),
        ((CINE, "-o", "out.png", "--model", "no/such/model"), 1, "no/such/model"),
    ],
)
def test_what_cannot_be_shown_is_told_and_nothing_written(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("image", "show", *arguments)
    assert result.exit_code == code and said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_show_wants_one_file(run, tmp_path: Path) -> None:
    write_series(tmp_path / "in", 2)
    (tmp_path / "empty").mkdir()
    for name, said in (("in", "several files"), ("empty", "no picture")):
        result = run("image", "show", tmp_path / name, "-o", tmp_path / "out.png")
        assert result.exit_code == 2 and said in result.stderr


def test_reading_is_what_embed_uses(run, slice_: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    run("image", "show", slice_, "-o", out, "--full-size", "--square-pixels", "--window", "bone")
    item = next(dualsight.image.scan(slice_))
    (frame,) = item.frames(Reading(window="bone", square_pixels=True))  # type: ignore[union-attr]
    with Image.open(out) as picture:
        assert np.array_equal(np.asarray(picture), frame.pixels)
