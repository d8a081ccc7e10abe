from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image

import dualsight
from dicom_files import PATIENT, dicom_bytes

KEY = {"DUALSIGHT_DEIDENTIFY_KEY": "sixteen bytes and more"}


@pytest.fixture
def slice_(tmp_path: Path) -> Path:
    path = tmp_path / "Doe_Jane.dcm"
    values = np.random.default_rng(0).integers(0, 900, (20, 30)).astype(np.int16)
    path.write_bytes(dicom_bytes(values, StudyInstanceUID="1.2.99", SOPInstanceUID="1.2.99.1"))
    return path


def test_overlay_and_json(run, weights: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "overlay.png"
    result = run("explain", picture, "--labels", "a,b", "--model", weights, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert (said["source"], said["height"], said["width"]) == (str(picture), 40, 50)
    assert said["fingerprint"] == dualsight.load(weights).fingerprint
    assert [(m["label"], m["against"]) for m in said["maps"]] == [("a", ["b"]), ("b", ["a"])]
    assert said["maps"][0]["similarity"] == pytest.approx(-said["maps"][1]["similarity"], abs=1e-6)
    with Image.open(out) as sheet:
        assert sheet.width > 3 * 320 and "no output is a diagnosis" in sheet.info["Description"]
        assert str(picture) not in str(sheet.info)


def test_lines(run, weights: Path, picture: Path) -> None:
    result = run(
        "explain",
        picture,
        "--labels",
        "a",
        "--against",
        "b",
        "--text",
        "a whole sentence",
        "--method",
        "grad-cam",
        "--model",
        weights,
    )
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == str(picture) and len(lines) == 3
    assert " a against b: hottest at x " in lines[1] and " a whole sentence: " in lines[2]


def test_grad_cam_of_a_chosen_stage(run, weights: Path, picture: Path) -> None:
    words = ("explain", picture, "--labels", "a,b", "--method", "grad-cam", "--json", "--model", weights)
    (first, _), (last, _) = (json.loads(run(*words, "--stage", n).stdout)["maps"] for n in (1, 4))
    assert first["method"] == last["method"] == "grad-cam" and first["grid"] > last["grid"]
    result = run(*words, "--stage", 5)
    assert result.exit_code == 1 and "no stage 5" in result.stderr


def test_bare_maps(run, weights: Path, picture: Path, tmp_path: Path) -> None:
    npy, npz = tmp_path / "map.npy", tmp_path / "map.npz"
    for out in (npy, npz):
        words = ("--labels", "a,b", "--text", "c", "--method", "token-shares", "--model", weights, "-o", out)
        assert run("explain", picture, *words).exit_code == 0
    maps = np.load(npy, allow_pickle=False)
    assert maps.shape == (3, 40, 50) and maps.dtype == np.float32
    with np.load(npz, allow_pickle=False) as arrays:
        assert np.array_equal(arrays["maps"], maps)
        assert list(arrays["labels"]) == ["a", "b", "c"] and list(arrays["against"]) == ["b", "a", ""]


def test_like_another_picture(run, weights: Path, picture: Path, other: Path) -> None:
    result = run("explain", picture, "--like", other, "--model", weights, "--method", "grad-cam")
    assert result.exit_code == 0, result.stderr
    assert f"like {other}" in result.stdout


def test_the_other_picture_is_read_as_the_first_is(run, weights: Path, slice_: Path, picture: Path) -> None:
    words = ("explain", picture, "--like", slice_, "--model", weights, "--method", "grad-cam", "--json")
    documents = [json.loads(run(*words, "--window", window).stdout) for window in ("0,10", "800,10")]
    first, second = (document["maps"][0]["similarity"] for document in documents)
    assert first != pytest.approx(second, abs=1e-5)


def test_secondary_capture(run, weights: Path, slice_: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.dcm"
    result = run("explain", slice_, "--labels", "a,b", "--model", weights, "-o", out)
    assert result.exit_code == 0, result.stderr
    made = pydicom.dcmread(out)
    assert made.StudyInstanceUID == "1.2.99" and made.PatientName == PATIENT
    assert made.pixel_array.shape[2] == 3


def test_secondary_capture_of_a_zipped_file(run, weights: Path, slice_: Path, tmp_path: Path) -> None:
    zipped, out = tmp_path / "slice.dcm.gz", tmp_path / "out.dcm"
    zipped.write_bytes(gzip.compress(slice_.read_bytes()))
    result = run("explain", zipped, "--labels", "a,b", "--model", weights, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert pydicom.dcmread(out).StudyInstanceUID == "1.2.99"


def test_deidentified(run, weights: Path, slice_: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*next(iter(KEY.items())))
    for name in ("out.dcm", "out.png", "out.npz"):
        out = tmp_path / name
        result = run(
            "explain",
            slice_,
            "--labels",
            "a,b",
            "--like",
            slice_,
            "--model",
            weights,
            "-o",
            out,
            "--deidentify",
            "--method",
            "grad-cam",
            "--json",
        )
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["source"].startswith("hmac-")
        for text in ("Doe", "Jane", "1.2.99", "4711"):
            assert text not in result.stdout and text not in result.stderr
            assert text.encode() not in out.read_bytes()


def test_a_wrong_command_line_names_no_patient(
    run, weights: Path, slice_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*next(iter(KEY.items())))
    folder = slice_.parent / "Doe_and_others"
    folder.mkdir()
    result = run("explain", slice_, "--labels", "a", "--frame", "7", "--deidentify", "--model", weights)
    assert result.exit_code == 2 and "has 1 frames" in result.stderr and "Doe" not in result.stderr
    result = run("explain", folder, "--labels", "a", "--deidentify", "--model", weights)
    assert result.exit_code == 2 and "no picture in" in result.stderr and "Doe" not in result.stderr
    for name in ("a.dcm", "b.dcm"):
        (folder / name).write_bytes(slice_.read_bytes())
    result = run("explain", folder, "--labels", "a", "--deidentify", "--model", weights)
    assert result.exit_code == 2 and "several files" in result.stderr and "Doe" not in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give what to explain"),
        (("--labels", "a,,b"), "blank label"),
        (("--text", "a", "--against", "b"), "only --labels are explained against"),
        (("--labels", "a", "--method", "magic"), "'magic' is not one of"),
        (("--labels", "a", "--stage", "2"), "only --method grad-cam"),
        (("--labels", "a", "-o", "out.jpg"), "ends in none of"),
        (("--labels", "a", "--frame", "7"), "has 1 frames"),
    ],
)
def test_what_cannot_be_meant(run, weights: Path, picture: Path, words: tuple[str, ...], said: str) -> None:
    result = run("explain", picture, *words, "--model", weights)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_on_the_voxels_of_a_volume(run, weights: Path, tmp_path: Path) -> None:
    """Stored back to front and head first, 1 × 1 × 2 mm: the hottest place is the same in the patient."""
    path = tmp_path / "brain.nii"
    values = np.random.default_rng(0).integers(0, 99, (12, 20, 16)).astype(np.int16)
    stored = np.array([[0, 0, 1.0, 0], [0, -1, 0, 19], [-2, 0, 0, 22], [0, 0, 0, 1]])  # axes S→I, A→P, L→R
    nibabel.Nifti1Image(values, stored).to_filename(path)
    bare, placed = tmp_path / "map.npy", tmp_path / "map.nii.gz"
    for out in (bare, placed):
        words = ("--labels", "a,b", "--plane", "coronal", "--frame", "3", "--method", "grad-cam", "--model", weights)
        assert run("explain", path, *words, "-o", out).exit_code == 0
    shown, image = np.load(bare)[0], nibabel.load(placed)
    heat = np.asarray(image.dataobj)
    assert shown.shape == (24, 16) and heat.shape == (16, 20, 12, 2)
    x, y, z = np.unravel_index(heat[..., 0].argmax(), heat.shape[:3])
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert (x, y) == (15 - column, 3) and abs(23 - row - 2 * z) <= 1  # the patient's right is on the left, head above
    assert np.allclose(image.affine @ [0, 0, 0, 1], stored @ [11, 19, 0, 1])
    assert not heat[:, :3].any() and not heat[:, 4:].any()
    picture = tmp_path / "one.png"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(picture)
    result = run("explain", picture, "--labels", "a,b", "--method", "grad-cam", "--model", weights, "-o", placed)
    assert result.exit_code == 2 and "no volume file" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("name", "said"), [("out.dcm", "no study"), ("out.nii", "no volume"), ("out.nii.gz", "no volume")]
)
def test_what_a_png_cannot_become_is_told_before_the_model_is_loaded(
    run, picture: Path, tmp_path: Path, name: str, said: str
) -> None:
    result = run("explain", picture, "--labels", "a", "--model", "nowhere", "-o", tmp_path / name)
    assert result.exit_code == 2 and said in result.stderr and not (tmp_path / name).exists()


def test_errors_of_pictures_and_labels(run, weights: Path, broken: Path, picture: Path, tmp_path: Path) -> None:
    result = run("explain", broken, "--labels", "a", "--model", weights)
    assert result.exit_code == 1 and f"error: {broken}: " in result.stderr
    result = run("explain", picture, "--labels", "a,a", "--model", weights)
    assert result.exit_code == 1 and "comes twice" in result.stderr
    result = run("explain", tmp_path, "--labels", "a", "--model", weights)
    assert result.exit_code == 2 and "several files" in result.stderr
