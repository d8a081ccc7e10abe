"""Adapters as files: what is written is read, and nothing else is."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save, save_file

from dualsight.errors import AdapterError, OutputError
from dualsight.learn.adapt import Adapter, KNearest, LinearProbe, MlpAdapter, TipAdapter, load_adapter, save_adapter
from dualsight.learn.adapt.file import ENTRY
from dualsight.learn.adapt.thresholds import Thresholds

D = 6
RNG = np.random.default_rng(1)
VECTORS = RNG.standard_normal((40, D))
CODES = np.arange(40) % 3
SEVERAL = np.eye(3, dtype=int)[CODES] | np.eye(3, dtype=int)[CODES[::-1]]
WORDS = RNG.standard_normal((3, D))
HEADS = {
    "linear": LinearProbe(C=0.5),
    "knn": KNearest(n_neighbors=3),
    "mlp": MlpAdapter(hidden=5, epochs=2),
    "tip": TipAdapter(WORDS, logit_scale=1.5, shots=2),
}


def adapter(kind: str, y: np.ndarray = CODES) -> Adapter:
    return Adapter(
        kind=kind,  # type: ignore[arg-type]
        head=HEADS[kind].fit(VECTORS, y),
        labels=("effusion", "no finding", "œdème"),
        model="demo",
        fingerprint="f" * 64,
        thresholds={"effusion": Thresholds(youden=0.25, sens90=0.125)},
    )


@pytest.mark.parametrize(
    ("kind", "y"), [*((k, CODES) for k in HEADS), *((k, SEVERAL) for k in ("linear", "knn", "mlp"))]
)
def test_what_is_written_is_read(tmp_path: Path, kind: str, y: np.ndarray) -> None:
    written = adapter(kind, y)
    save_adapter(written, tmp_path / "a.safetensors")
    read = load_adapter(tmp_path / "a.safetensors")
    for name in ("kind", "labels", "is_multilabel", "model", "fingerprint", "thresholds"):
        assert getattr(read, name) == getattr(written, name)
    np.testing.assert_array_equal(read.predict_proba(VECTORS), written.predict_proba(VECTORS))
    save_adapter(read, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        save_adapter(adapter("linear"), tmp_path / "nowhere" / "a.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder"):
        save_adapter(adapter("linear"), tmp_path / "folder")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):  # where what was begun cannot be removed either
        save_adapter(adapter("linear"), tmp_path / "file" / "a.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "an empty file"),
        (pickle.dumps({"coef_": 1}), "a pickle"),
        (b"nothing of the kind" * 9, "not a safetensors file"),
        (save({"coef_": WORDS}), "and no adapter"),
        (save({"coef_": WORDS}, {ENTRY: "{"}), "no adapter that this release reads"),
        (save({"coef_": WORDS}, {ENTRY: "[]"}), "no adapter that this release reads"),
        (save({"coef_": WORDS}, {ENTRY: "[" * 100_000}), "no adapter that this release reads"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(AdapterError, match=problem) as caught:
        load_adapter(path)
    assert "adapt train" in caught.value.hint


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="No such file"):
        load_adapter(tmp_path / "a.safetensors")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_adapter(adapter("linear"), path)
    content = path.read_bytes()
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(AdapterError):
            load_adapter(path)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("version", 2, "version 2"),
        ("kind", "svm", "svm"),
        ("kind", "mlp", "hidden_weight_"),
        ("labels", ["effusion", "b"], "does not fit"),
        ("labels", ["a", "a", "b"], "twice"),
        ("labels", "abc", "no list"),
        ("model", 3, "model is no text"),
        ("fingerprint", None, "fingerprint is no text"),
        ("thresholds", {"elsewhere": {"youden": 0.5, "sens90": 0.5}}, "thresholds"),
        ("thresholds", {"effusion": {"youden": "0.5", "sens90": 0.5}}, "thresholds"),
        ("thresholds", {"effusion": {"youden": 0.5}}, "sens90"),
        ("settings", {"solver": "x"}, "solver"),
        ("more", 1, "more"),
    ],
)
def test_a_changed_entry_is_refused(tmp_path: Path, key: str, value: object, problem: str) -> None:
    path = tmp_path / "a.safetensors"
    save_adapter(adapter("linear"), path)
    entry = json.loads(metadata(path)[ENTRY]) | {key: value}
    save_file(load_file(path), path, {ENTRY: json.dumps(entry)})
    with pytest.raises(AdapterError, match=problem):
        load_adapter(path)


@pytest.mark.parametrize("settings", [{"n_neighbors": 0}, {"n_neighbors": "3"}, {"temperature": None}])
def test_settings_that_cannot_be_used_are_refused(tmp_path: Path, settings: dict[str, object]) -> None:
    path = tmp_path / "a.safetensors"
    save_adapter(adapter("knn"), path)
    entry = json.loads(metadata(path)[ENTRY]) | {"settings": settings}
    save_file(load_file(path), path, {ENTRY: json.dumps(entry)})
    with pytest.raises(AdapterError):
        load_adapter(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a | {"coef_": a["coef_"].astype(np.float32)},
        lambda a: a | {"coef_": a["coef_"] * np.nan},
        lambda a: a | {"coef_": a["coef_"][:, :, None]},
        lambda a: a | {"intercept_": a["intercept_"][:2]},
        lambda a: a | {"more_": a["intercept_"]},
        lambda a: {"coef_": a["coef_"]},
    ],
)
def test_changed_arrays_are_refused(tmp_path: Path, change: object) -> None:
    path = tmp_path / "a.safetensors"
    save_adapter(adapter("linear"), path)
    save_file(change(load_file(path)), path, metadata(path))  # type: ignore[operator]
    with pytest.raises(AdapterError):
        load_adapter(path)


def metadata(path: Path) -> dict[str, str]:
    content = path.read_bytes()
    header: dict[str, dict[str, str]] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return header["__metadata__"]
