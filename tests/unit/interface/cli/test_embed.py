from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from safetensors import safe_open

import dualsight
from dualsight.task.model import Model

CINE = Path(__file__).parents[3] / "data" / "images" / "pydicom" / "SC_rgb_rle_2frame.dcm"


@pytest.fixture
def model(weights: Path) -> Model:
    return dualsight.load(weights)


def test_npz(run, model: Model, weights: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    result = run("embed", picture, CINE, "-o", out, "--model", weights)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    with np.load(out, allow_pickle=False) as file:
        assert file["vectors"].dtype == np.float32
        np.testing.assert_array_equal(file["vectors"], model.encode_image([picture, CINE]))
        assert file["source"].tolist() == [str(picture), str(CINE)]
        assert file["frame_index"].tolist() == [0, -1]
        assert str(file["fingerprint"]) == model.fingerprint
        assert str(file["model"]) == model.name


def test_parquet(run, model: Model, weights: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert run("embed", picture, CINE, "-o", out, "--model", weights).exit_code == 0
    table = pyarrow.parquet.read_table(out)
    vectors = np.stack(table["vector"].to_numpy(zero_copy_only=False))
    np.testing.assert_array_equal(vectors, model.encode_image([picture, CINE]))
    assert table["source"].to_pylist() == [str(picture), str(CINE)]
    assert table["frame_index"].to_pylist() == [0, None]
    assert table.schema.metadata[b"fingerprint"].decode() == model.fingerprint


def test_safetensors_a_frame_a_vector(run, model: Model, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    assert run("embed", CINE, "-o", out, "--per", "frame", "--model", weights).exit_code == 0
    expected = np.stack([item.vector for item in model.embed(CINE, per="frame")])
    with safe_open(out, "np") as file:
        np.testing.assert_array_equal(file.get_tensor("vectors"), expected)
        assert file.get_tensor("frame_index").tolist() == [0, 1]
        assert json.loads(file.metadata()["source"]) == [str(CINE)] * 2
        assert file.metadata()["fingerprint"] == model.fingerprint


def test_a_bad_picture_fails_alone(run, weights: Path, picture: Path, broken: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    result = run("embed", broken, picture, "-o", out, "--model", weights)
    assert result.exit_code == 1
    assert f"error: {broken}: " in result.stderr
    with np.load(out) as file:
        assert file["source"].tolist() == [str(picture)]


def test_nothing_is_written_where_nothing_could_be_embedded(run, weights: Path, broken: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    assert run("embed", broken, "-o", out, "--model", weights).exit_code == 1
    assert not out.exists()


@pytest.mark.parametrize(("name", "code"), [("out.txt", 2), ("out", 2), ("no/such/folder/out.npz", 1)])
def test_a_place_that_cannot_be_is_told_before_the_work(
    run, picture: Path, tmp_path: Path, name: str, code: int
) -> None:
    result = run("embed", picture, "-o", tmp_path / name, "--model", "no/such/model")
    assert result.exit_code == code
    assert "out" in result.stderr
    assert "no/such/model" not in result.stderr


def test_embed_text(run, model: Model, weights: Path, tmp_path: Path) -> None:
    texts = ["mri brain", "ct abdomen"]
    out = tmp_path / "out.npz"
    result = run("embed-text", *texts, "-o", out, "--json", "--model", weights)
    document = json.loads(result.stdout)
    assert document["fingerprint"] == model.fingerprint
    assert [row["text"] for row in document["results"]] == texts
    np.testing.assert_array_equal(np.float32([row["vector"] for row in document["results"]]), model.encode_text(texts))
    with np.load(out) as file:
        np.testing.assert_array_equal(file["vectors"], model.encode_text(texts))
        assert file["text"].tolist() == texts
        assert "frame_index" not in file


def test_embed_text_to_look_at(run, model: Model, weights: Path) -> None:
    lines = run("embed-text", "mri brain", "--model", weights).stdout.splitlines()
    assert lines[0] == "mri brain"
    assert lines[1].startswith(f"  {model.encode_text('mri brain')[0][0]:.4f} ")


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
