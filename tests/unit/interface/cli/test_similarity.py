from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import dualsight
from dualsight.image.deidentify import KEY, hashed_name
from dualsight.task.model import Model

SECRET = b"sixteen bytes or more"


@pytest.fixture
def model(weights: Path) -> Model:
    return dualsight.load(weights)


def test_similarity_forms_say_the_same(run, model: Model, weights: Path, picture: Path, other: Path) -> None:
    arguments = ("similarity", "--image", picture, "--image", other, "--text", "mri", "--text", "ct, of it")
    document = json.loads(run(*arguments, "--json", "--model", weights).stdout)
    assert document["rows"] == [str(picture), str(other)]
    assert document["columns"] == ["mri", "ct, of it"]
    np.testing.assert_array_equal(
        np.float32(document["cosines"]), model.similarity([picture, other], ["mri", "ct, of it"])
    )
    rows = list(csv.reader(io.StringIO(run(*arguments, "--csv", "--model", weights).stdout)))
    assert rows[0] == ["", *document["columns"]]
    assert [[float(number) for number in row[1:]] for row in rows[1:]] == document["cosines"]
    lines = run(*arguments, "--model", weights).stdout.splitlines()
    assert lines[:2] == ["[1] mri", "[2] ct, of it"]
    assert lines[3] == "".join(f"{value:8.3f}" for value in document["cosines"][0]) + f"  {picture}"


def test_similarity_of_texts_alone(run, weights: Path) -> None:
    document = json.loads(run("similarity", "--text", "a", "--text", "b", "--json", "--model", weights).stdout)
    assert document["rows"] == document["columns"] == ["a", "b"]
    np.testing.assert_allclose(np.diag(document["cosines"]), 1, atol=1e-6)


def test_similarity_of_nothing(run) -> None:
    assert run("similarity").exit_code == 2


def test_a_bad_picture_is_named_and_the_rest_compared(
    run, model: Model, weights: Path, picture: Path, other: Path, broken: Path
) -> None:
    pictures = [word for path in (picture, broken, other) for word in ("--image", path)]
    result = run("similarity", *pictures, "--text", "mri", "--json", "--model", weights)
    document = json.loads(result.stdout)
    assert (result.exit_code, document["rows"]) == (1, [str(picture), str(other)])
    np.testing.assert_array_equal(np.float32(document["cosines"]), model.similarity([picture, other], ["mri"]))
    assert result.stderr.count("error: ") == 1 and f"error: {broken}: " in result.stderr


def test_nothing_is_printed_of_bad_pictures_alone(run, weights: Path, broken: Path, tmp_path: Path) -> None:
    result = run("similarity", "--image", broken, "--text", "mri", "--csv", "--model", weights)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no picture could be embedded" in result.stderr
    (tmp_path / "empty").mkdir()
    result = run("similarity", "--image", tmp_path / "empty", "--text", "mri", "--model", weights)
    assert (result.exit_code, result.stdout) == (1, "") and "no pictures found" in result.stderr


def test_deidentified_rows_have_hashes_for_names(
    run, weights: Path, picture: Path, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, SECRET.decode())
    result = run("similarity", "--image", picture, "--image", broken, "--deidentify", "--model", weights)
    name = hashed_name(str(picture), SECRET)
    assert result.exit_code == 1 and result.stdout.splitlines()[0] == f"[1] {name}"
    for path in (picture, broken):
        assert str(path) not in result.output and path.name not in result.stderr
    assert f"error: {hashed_name(str(broken), SECRET)}: " in result.stderr
