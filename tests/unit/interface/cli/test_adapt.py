"""`adapt train` and `adapt predict`, with pictures that are either dark or bright."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

import dualsight
from dualsight.learn.adapt import load_adapter


@pytest.fixture
def adapter(run, weights: Path, manifest: Path, tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    result = run("adapt", "train", manifest, "--kind", "linear", "-o", path, "--model", weights)
    assert result.exit_code == 0, result.stderr
    return path


@pytest.mark.parametrize("kind", ["linear", "knn", "mlp", "tip"])
def test_figures_are_printed_and_the_adapter_is_written(run, weights: Path, manifest: Path, kind: str) -> None:
    path = manifest.with_name("a.safetensors")
    result = run("adapt", "train", manifest, "--kind", kind, "-o", path, "--model", weights, "--seed", 1)
    assert result.exit_code == 0, result.stderr
    assert "learnt from 16 examples; measured on 4 held-out ones of 2 patients" in result.stdout
    assert "accuracy  " in result.stdout
    assert "mean AUC  1.000 (1.000 to 1.000)" in result.stdout
    assert str(path) in result.stderr
    assert load_adapter(path).labels == ("bright", "dark")


def test_vectors_that_embed_wrote_give_the_same_adapter(run, weights: Path, manifest: Path, adapter: Path) -> None:
    vectors, path = manifest.with_name("v.npz"), manifest.with_name("b.safetensors")
    same = ("--batch-size", 8)  # as `adapt train` has it: the last bits hang on it, and `embed` measures its own
    assert run("embed", manifest, "-o", vectors, "--model", weights, *same).exit_code == 0
    done = run("adapt", "train", manifest, "--kind", "linear", "-o", path, "--embeddings", vectors, "--model", weights)
    assert done.exit_code == 0, done.stderr
    assert path.read_bytes() == adapter.read_bytes()


def test_json_says_what_python_says(run, weights: Path, adapter: Path, manifest: Path) -> None:
    pictures = [manifest.with_name("00.png"), manifest.with_name("01.png")]
    result = run("adapt", "predict", *pictures, "--adapter", adapter, "--model", weights, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["fingerprint"] == dualsight.load(weights).fingerprint
    rows = json.loads(result.stdout)["results"]
    expected = load_adapter(adapter).predict(dualsight.load(weights), pictures)
    for row, prediction in zip(rows, expected, strict=True):
        assert row["source"] == prediction.source
        assert row["probabilities"] == prediction.as_dict()
        assert row["above_youden"] == dict(zip(prediction.labels, prediction.above_youden, strict=True))
        assert row["above_sens90"] == dict(zip(prediction.labels, prediction.above_sens90, strict=True))
    assert [next(iter(row["probabilities"])) for row in rows] == ["dark", "bright"]


def test_csv_and_text_have_both_flags(run, weights: Path, adapter: Path, manifest: Path) -> None:
    picture = manifest.with_name("01.png")
    (expected,) = load_adapter(adapter).predict(dualsight.load(weights), picture)
    flags = list(zip(expected.labels, expected.above_youden, expected.above_sens90, strict=True))
    arguments = ("adapt", "predict", picture, "--adapter", adapter, "--model", weights)
    rows = list(csv.DictReader(io.StringIO(run(*arguments, "--csv").stdout)))
    assert [(row["label"], row["above_youden"], row["above_sens90"]) for row in rows] == [
        (label, str(youden), str(sens90)) for label, youden, sens90 in flags
    ]
    lines = run(*arguments).stdout.splitlines()
    assert lines[0] == str(picture)
    assert lines[1].split() == ["youden", "sens90"]
    sides = {True: "above", False: "below"}
    assert [line.split()[1:] for line in lines[2:]] == [[sides[y], sides[s], label] for label, y, s in flags]  # type: ignore[index]
    assert len(run(*arguments, "--top", 1).stdout.splitlines()) == 3


def test_a_bad_picture_fails_alone_and_by_name(run, weights: Path, adapter: Path, manifest: Path, broken: Path) -> None:
    result = run(
        "adapt", "predict", broken, manifest.with_name("00.png"), "--adapter", adapter, "--model", weights, "--json"
    )
    assert result.exit_code == 1
    assert ["error" in row for row in json.loads(result.stdout)["results"]] == [True, False]
    assert f"error: {broken}: " in result.stderr


def test_a_bad_example_is_told_and_the_rest_is_learnt_from(run, weights: Path, manifest: Path) -> None:
    bad, path = manifest.with_name("00.png"), manifest.with_name("a.safetensors")
    bad.write_bytes(bad.read_bytes()[:60])
    result = run("adapt", "train", manifest, "--kind", "knn", "-o", path, "--model", weights)
    assert result.exit_code == 1
    assert f"error: {bad}: " in result.stderr
    assert load_adapter(path).labels == ("bright", "dark")


def test_an_adapter_of_another_model_is_refused(run, adapter: Path, manifest: Path) -> None:
    result = run("adapt", "predict", manifest.with_name("00.png"), "--adapter", adapter, "--model", "demo")
    assert result.exit_code == 1
    assert "error: the adapter was made for the model" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("--kind", "linear", "-o", "a.pickle"), 2, "does not end in .safetensors"),
        (("--kind", "svm", "-o", "a.safetensors"), 2, "svm"),
        (("--kind", "linear", "-o", "nowhere/a.safetensors"), 1, "nowhere"),
        (("--kind", "linear", "-o", "a.safetensors", "--template", "ct {label}"), 2, "only tip"),
        (("--kind", "linear", "-o", "a.safetensors", "--label-column", "none"), 1, "no column `none`"),
        (("--kind", "linear", "-o", "a.safetensors", "--embeddings", "v.npz"), 1, "no such file"),
        (("--kind", "tip", "-o", "a.safetensors", "--template", "ct"), 1, "has no {label}"),
    ],
)
def test_a_users_mistake_is_told(
    run,
    weights: Path,
    manifest: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    problem: str,
) -> None:
    monkeypatch.chdir(manifest.parent)
    result = run("adapt", "train", manifest, *arguments, "--model", weights)
    assert result.exit_code == code
    assert problem in result.stderr.replace("\n", " ")
    assert not Path("a.safetensors").exists()


def test_a_figure_without_an_interval_says_so() -> None:
    from dualsight.interface.cli.adapt import _interval
    from dualsight.learn.adapt.train import Estimate

    assert _interval(Estimate(value=0.9, low=None, high=None)) == "0.900 (no interval: too few patients)"
