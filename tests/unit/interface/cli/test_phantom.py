from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualsight.learn.phantom.catalogue import HELD_OUT

SAMPLES = Path(__file__).parents[4] / "samples"


def test_pictures_and_their_captions(run, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    result = run("phantom", "-o", out, "-n", 3, "--modality", "oct retina", "--size", 64)
    assert result.exit_code == 0, result.stderr
    with (out / "captions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for row in rows:
        assert pixels_of(out / row["path"]).shape == (64, 64, 3)
        assert row["caption"] == f"oct retina {row['finding'] or 'no finding'}"
        assert int(row["patient"]) >= HELD_OUT
        assert bool(row["box"]) == bool(row["finding"])
    assert len(list(out.iterdir())) == 4


def test_seeds(run, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run("phantom", "-o", tmp_path / name, "-n", 1, "--modality", "endoscopy", "--size", 64, "--seed", seed)
    a, b, c = (next((tmp_path / name).glob("*.png")).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_an_unknown_modality_is_a_wrong_command_line(run, tmp_path: Path) -> None:
    result = run("phantom", "-o", tmp_path / "out", "--modality", "xray")
    assert result.exit_code == 2
    assert "x-ray chest" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be(run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    result = run("phantom", "-o", tmp_path / "out", "-n", 1)
    assert result.exit_code == 1
    assert "error: " in result.stderr


def test_the_sample_phantoms_are_what_the_command_in_their_readme_draws(run, tmp_path: Path) -> None:
    assert run("phantom", "-o", tmp_path, "-n", 10, "--seed", 1).exit_code == 0
    assert (tmp_path / "captions.csv").read_text() == (SAMPLES / "phantoms" / "labels.csv").read_text()
    for path in tmp_path.glob("*.png"):
        drawn, stored = pixels_of(path), pixels_of(SAMPLES / "phantoms" / path.name)
        assert np.abs(drawn - stored).mean() < 0.5, path.name  # another processor may round a pixel otherwise


def pixels_of(path: Path) -> NDArray[np.int16]:
    with Image.open(path) as picture:
        return np.asarray(picture, np.int16)
