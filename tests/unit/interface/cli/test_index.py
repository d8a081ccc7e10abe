"""`dualsight index` and `dualsight search-evaluate`, on an index of twenty pictures that are dark or bright."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dualsight.store.index import Index
from index_tables import write_table

N = 20  # pictures of `manifest`


@pytest.fixture
def db(run, weights: Path, manifest: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "a.db"
    done = run("index", "add", manifest, "--db", folder, "--model", weights)
    assert done.exit_code == 0, done.stderr
    return folder


def test_it_is_told_what_is_in_it(run, db: Path) -> None:
    told = json.loads(run("index", "info", "--db", db, "--json").stdout)
    assert told["n_rows"] == N
    assert f"{N} rows" in run("index", "versions", "--db", db).stdout


def test_a_small_index_stays_exact(run, db: Path) -> None:
    done = run("index", "optimize", "--db", db)
    assert (done.exit_code, f"{N} rows: search stays exact" in done.stderr) == (0, True)
    done = run("index", "check", "--db", db)
    assert done.exit_code == 1 and "optimize" in done.stderr


def test_of_an_approximate_one_it_is_measured_what_it_finds(run, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((300, 8), np.float32)
    write_table(tmp_path / "b.db", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    assert Index(tmp_path / "b.db").optimize(approximate_from=1) is not None
    done = run("index", "check", "--db", tmp_path / "b.db", "--queries", 5)
    assert done.exit_code == 0 and "over 5 queries of 300 rows" in done.stdout, done.stderr


def test_labels_are_what_neighbours_say_with_and_without_an_adapter(
    run, db: Path, weights: Path, manifest: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "mlp.safetensors"
    train = ("adapt", "train", manifest, "--kind", "mlp", "-o", adapter, "--model", weights)
    assert run(*train).exit_code == 0
    ask = ("search-evaluate", db, "--label-column", "label", "--apart", "patient")
    told = json.loads(run(*ask, "--adapter", adapter, "--json").stdout)
    assert (told["label"], told["queries"], told["labels"]) == ("label", N, 2)
    assert told["precision@1"] == told["adapter_precision@1"] == 1.0
    assert "precision@5  1.000; with the adapter 1.000" in run(*ask, "--adapter", adapter).stdout


def test_an_adapter_that_makes_no_features_is_refused(
    run, db: Path, weights: Path, manifest: Path, tmp_path: Path
) -> None:
    linear = tmp_path / "linear.safetensors"
    assert run("adapt", "train", manifest, "--kind", "linear", "-o", linear, "--model", weights).exit_code == 0
    done = run("search-evaluate", db, "--label-column", "label", "--adapter", linear)
    assert done.exit_code == 1 and "which makes no features" in done.stderr and "--kind mlp" in done.stderr


def test_an_adapter_of_another_model_is_refused(run, db: Path, manifest: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    assert run("adapt", "train", manifest, "--kind", "mlp", "-o", other, "--model", "demo").exit_code == 0
    done = run("search-evaluate", db, "--label-column", "label", "--adapter", other)
    assert done.exit_code == 1 and "made for the model" in done.stderr and "index's model" in done.stderr
