"""`qc outliers`, `qc duplicates` and `qc exam`, with pictures that are dark, and some that are bright stripes."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dualsight
from series_files import write_series


def draw(path: Path, seed: int, *, stripes: bool = False) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 60, (40, 40, 3))
    if stripes:
        pixels[::4] += 190
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    for seed in range(12):
        draw(tmp_path / "archive" / f"{seed:02}.png", seed)
    return tmp_path / "archive"


@pytest.mark.parametrize("method", ["knn", "mahalanobis"])
def test_what_is_unlike_the_references_is_told(run, weights: Path, archive: Path, tmp_path: Path, method: str) -> None:
    strange = draw(tmp_path / "strange.png", 50, stripes=True)
    arguments = (strange, archive / "00.png", "--reference", archive, "--method", method, "--model", weights)
    result = run("qc", "outliers", *arguments, "--rate", 0.1, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["n_reference"], document["method"]) == (12, method)
    assert document["false_positive_rate"] <= 0.1
    assert [(row["source"], row["outlier"]) for row in document["results"]] == [
        (str(strange), True),
        (str(archive / "00.png"), False),
    ]
    assert document["results"][0]["score"] > document["threshold"] > document["results"][1]["score"]


def test_studies_are_scored_as_wholes(run, weights: Path, tmp_path: Path) -> None:
    for study in range(8):
        for seed in range(3):
            draw(tmp_path / "archive" / f"{study}" / f"{seed}.png", 10 * study + seed)
    new = tmp_path / "new"
    write_series(new / "dicom", 3, study="1.1", series="1.1.1")
    draw(new / "folder" / "a.png", 1)
    result = run(
        "qc", "outliers", new, "--reference", tmp_path / "archive", "--per", "study", "--csv", "--model", weights
    )
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["source"] for row in rows] == ["1.1", str(new / "folder")]


def test_the_same_picture_twice_is_found_in_every_form(run, weights: Path, archive: Path) -> None:
    shutil.copy(archive / "03.png", archive / "copy.png")
    arguments = ("qc", "duplicates", archive, "--cosine", 0.999999, "--model", weights)
    document = json.loads(run(*arguments, "--json").stdout)
    assert (document["n_images"], document["n_pairs"]) == (13, 1)
    assert document["fingerprint"] == dualsight.load(weights).fingerprint
    (pair,) = document["results"]
    assert (pair["first"], pair["second"]) == (str(archive / "03.png"), str(archive / "copy.png"))
    (row,) = csv.DictReader(io.StringIO(run(*arguments, "--csv").stdout))
    assert float(row["cosine"]) == pair["cosine"]
    assert str(archive / "copy.png") in run(*arguments).stdout.splitlines()[-1]


def test_how_a_picture_was_made_is_told_by_its_neighbours(run, weights: Path, archive: Path, tmp_path: Path) -> None:
    for seed in range(6):
        draw(archive / f"striped{seed}.png", seed, stripes=True)
    rows = [f"{path.name},{'ct' if 'striped' in path.name else 'mri'}" for path in sorted(archive.glob("*.png"))]
    table = archive / "known.csv"
    table.write_text("\n".join(["path,modality", *rows]) + "\n")
    tests = [draw(tmp_path / "a.png", 70), draw(tmp_path / "b.png", 71, stripes=True)]
    result = run("qc", "exam", *tests, "--reference", table, "--neighbours", 3, "--json", "--model", weights)
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)["results"]
    assert [(row["modality"], row["source"]) for row in rows] == [("mri", str(tests[0])), ("ct", str(tests[1]))]
    assert all(row["modality_share"] > 0.9 for row in rows)


def test_a_bad_picture_is_told_and_the_rest_is_done(run, weights: Path, archive: Path, broken: Path) -> None:
    result = run("qc", "duplicates", archive, broken, "--json", "--model", weights)
    assert result.exit_code == 1
    assert f"error: {broken}: " in result.stderr
    assert json.loads(result.stdout)["n_images"] == 12


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("outliers", "{archive}", "--reference", "{archive}", "--rate", "0"), 1, "false-positive rate of 0"),
        (("outliers", "{archive}", "--reference", "{archive}/00.png"), 1, "1 reference vectors"),
        (("outliers", "{empty}", "--reference", "{archive}"), 1, "no pictures found"),
        (("outliers", "{archive}"), 2, "--reference"),
        (("duplicates", "{archive}", "--cosine", "2"), 2, "--cosine"),
        (("duplicates", "{archive}", "--json", "--csv"), 2, "not both"),
        (
            ("exam", "{archive}", "--reference", "{empty}/none.csv"),
            1,
            "none.csv: cannot be read (No such file or directory)",
        ),
    ],
)
def test_a_users_mistake_is_told(
    run, weights: Path, archive: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, problem: str
) -> None:
    (tmp_path / "empty").mkdir()
    words = [word.format(archive=archive, empty=tmp_path / "empty") for word in arguments]
    result = run("qc", *words, "--model", weights)
    assert result.exit_code == code
    assert problem in result.stderr
