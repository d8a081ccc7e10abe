from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from safetensors import safe_open

import dualsight
from dualsight.image import scan
from dualsight.interface.cli.result_row import COLUMNS, INTEGERS, TEXTS
from dualsight.task.embed import Embedded
from dualsight.task.model import Model
from series_files import break_pixels, write_media, write_series

CINE = Path(__file__).parents[3] / "data" / "images" / "pydicom" / "SC_rgb_rle_2frame.dcm"
SAME_BATCHES = ("--batch-size", 8)  # as the library has it: the command measures its own, and the last bits hang on it


@pytest.fixture
def model(weights: Path) -> Model:
    return dualsight.load(weights)


def test_npz(run, model: Model, weights: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    result = run("embed", picture, CINE, "-o", out, "--model", weights, *SAME_BATCHES)
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
    assert run("embed", picture, CINE, "-o", out, "--model", weights, *SAME_BATCHES).exit_code == 0
    table = pyarrow.parquet.read_table(out)
    vectors = np.stack(table["vector"].to_numpy(zero_copy_only=False))
    np.testing.assert_array_equal(vectors, model.encode_image([picture, CINE]))
    assert table["source"].to_pylist() == [str(picture), str(CINE)]
    assert table["frame_index"].to_pylist() == [0, None]
    assert table.schema.metadata[b"fingerprint"].decode() == model.fingerprint


def test_safetensors_a_frame_a_vector(run, model: Model, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    assert run("embed", CINE, "-o", out, "--per", "frame", "--model", weights, *SAME_BATCHES).exit_code == 0
    expected = np.stack([item.vector for item in model.embed(CINE, per="frame")])
    with safe_open(out, "np") as file:
        np.testing.assert_array_equal(file.get_tensor("vectors"), expected)
        assert file.get_tensor("frame_index").tolist() == [0, 1]
        assert json.loads(file.metadata()["source"]) == [str(CINE)] * 2
        assert file.metadata()["fingerprint"] == model.fingerprint


def test_series_and_studies_are_a_row_each_with_their_uids(run, model: Model, weights: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out.parquet"
    write_series(folder, 3, study="1.1", series="1.1.1")
    write_series(folder, 2, study="1.1", series="1.1.2", places=False)
    write_series(folder, 2, study="1.2", series="1.2.1")
    broken = break_pixels(write_series(folder, 3, study="1.2", series="1.2.2", places=False)[0])
    for per, counts in (("series", [3, 2, 2, 2]), ("study", [5, 4])):
        result = run("embed", folder, "-o", out, "--per", per, "--pool", "max", "--model", weights, *SAME_BATCHES)
        assert result.exit_code == 1  # a file of one is broken
        assert result.stderr.count("error: ") == 1 and f"error: {broken}, frame 0: " in result.stderr
        table = pyarrow.parquet.read_table(out).to_pylist()
        expected = [item for item in model.embed(scan(folder), per=per, pool="max") if isinstance(item, Embedded)]
        assert [row["n_frames"] for row in table] == [item.n_frames for item in expected] == counts
        np.testing.assert_array_equal(np.float32([row["vector"] for row in table]), [item.vector for item in expected])
        assert [row["source"] for row in table] == [item.source for item in expected]
        assert {row["study_instance_uid"] for row in table} == {"1.1", "1.2"}
        assert {(row["frame_index"], row["sop_instance_uid"]) for row in table} == {(None, None)}
        series = {row["series_instance_uid"] for row in table}
        assert series == ({"1.1.1", "1.1.2", "1.2.1", "1.2.2"} if per == "series" else {None})
        assert (table[-1]["note"] or "").startswith("1 file left out as unreadable")
    run("embed", folder, "-o", out, "--per", "frame", "--model", weights)
    rows = pyarrow.parquet.read_table(out).to_pylist()
    assert len({row["sop_instance_uid"] for row in rows}) == len(rows) == 9
    assert {row["window"] for row in rows} >= {"full range, 0 to 63"}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_other_forms_say_the_same_of_a_series(run, weights: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    write_series(tmp_path / "in", 3)
    assert run("embed", tmp_path / "in", "-o", out, "--per", "series", "--model", weights).exit_code == 0
    if suffix == ".npz":
        with np.load(out, allow_pickle=False) as file:
            found = {name: file[name].tolist() for name in COLUMNS}
    else:
        with safe_open(out, "np") as file:
            found = {name: json.loads(file.metadata()[name]) for name in TEXTS}
            found |= {name: file.get_tensor(name).tolist() for name in INTEGERS}
    assert (found["series_instance_uid"], found["n_frames"], found["frame_index"]) == (["1.2.1.1"], [3], [-1])
    assert found["sop_instance_uid"] in ([""], [None])
    assert found["window"] == ["full range, 0 to 263"]


def test_media_are_embedded_by_their_directory(run, weights: Path, tmp_path: Path) -> None:
    directory, out = write_media(tmp_path), tmp_path / "out.npz"
    (tmp_path / "77654033" / "CR1" / "6154").unlink()
    result = run("embed", directory, "-o", out, "--per", "study", "--model", weights)
    assert result.exit_code == 1
    assert f"error: {tmp_path / '77654033' / 'CR1' / '6154'}: no such file" in result.stderr
    with np.load(out) as file:
        assert len(file["vectors"]) == len(set(file["study_instance_uid"])) > 3
        assert file["n_frames"].sum() == 30


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
