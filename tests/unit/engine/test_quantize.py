from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dualsight
from dualsight.checkpoint.layout import INT8_REPORT, demo_folder
from dualsight.checkpoint.load import load_checkpoint
from dualsight.checkpoint.save import write_weights
from dualsight.checkpoint.weights import map_tensors
from dualsight.engine.quantize import _quantised, quantize
from dualsight.errors import EngineError, OutputError
from dualsight.image.frame import Frame
from dualsight.image.prepare import prepare
from dualsight.learn.phantom.catalogue import HELD_OUT, draw_many

pytestmark = [
    pytest.mark.usefixtures("engines_cache"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # nncf's, about itself
]


def pixels(count: int, first: int = 5_000_000) -> list[np.ndarray]:
    preprocessing = load_checkpoint("demo").config.preprocessing
    frames = [Frame(pixels=phantom.pixels, source="phantom") for phantom in draw_many(first, count, size=128)]
    return [prepare(frame, preprocessing) for frame in frames]


def test_a_quantised_folder_loads_like_any_checkpoint(tmp_path: Path) -> None:
    checkpoint = load_checkpoint("demo")
    folder = tmp_path / "int8"
    report = quantize(checkpoint, folder, pixels(160), min_cosine=0.99)
    assert report.cosine_least >= 0.99
    assert (report.calibrated_on, report.compared_on) == (120, 40)
    assert report.bytes_int8 < 0.3 * report.bytes_float32
    assert json.loads((folder / INT8_REPORT).read_text())["cosine_least"] == report.cosine_least
    model, exact = dualsight.load(folder), dualsight.load(folder, precision="exact")
    assert (model.engine.precision, exact.engine.precision) == ("int8", "float32")
    assert exact.fingerprint == dualsight.load().fingerprint != model.fingerprint
    held_out = np.stack(pixels(30, HELD_OUT))
    cosines = (model.engine.encode_images(held_out) * exact.engine.encode_images(held_out)).sum(1)
    assert 0.98 < cosines.min() < 0.999999  # it is int8 that answered
    assert {path.name for path in (folder / "int8").iterdir()} == {"image.xml", "image.bin", "report.json"}


def test_one_that_misses_the_asked_cosine_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dualsight.engine.quantize.MAX_FLOAT_SHARE", 0.0)
    monkeypatch.setattr("dualsight.engine.quantize._quantised_inputs", lambda model: names(model)[-1:])
    with pytest.raises(EngineError, match="nothing is written") as caught:
        quantize(load_checkpoint("demo"), tmp_path / "int8", pixels(8), min_cosine=1.0)
    assert "more pictures" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_inputs_that_lose_most_stay_in_float(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # six of them, so that it is quick: among these is one that the demonstration model loses most by
    monkeypatch.setattr("dualsight.engine.quantize._quantised_inputs", lambda model: names(model)[::8])
    monkeypatch.setattr("dualsight.engine.quantize.MAX_FLOAT_SHARE", 1.0)
    monkeypatch.setattr("dualsight.engine.quantize._quantised", once(_quantised))
    checkpoint, some = load_checkpoint("demo"), pixels(12)
    plain = quantize(checkpoint, tmp_path / "plain", some, min_cosine=0.0)
    wanted = plain.cosine_least + 0.3 * (1 - plain.cosine_least)
    mended = quantize(checkpoint, tmp_path / "mended", some, min_cosine=wanted)
    assert plain.kept_in_float == ()
    assert 1 <= len(mended.kept_in_float) <= 6
    assert mended.cosine_least >= wanted
    with pytest.raises(EngineError, match="nothing is written"):
        quantize(checkpoint, tmp_path / "too much", some, min_cosine=1.0)


def once(quantised: Callable[..., Any]) -> Callable[..., Any]:
    """The same graph each time: NNCF's own differ from run to run, by a third of what they lose."""
    made: list[Any] = []

    def graph(*arguments: Any) -> Any:
        if not made:
            made.append(quantised(*arguments))
        return made[0].clone()

    return graph


def names(model: object) -> list[str]:
    return [op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() == "FakeQuantize"]  # type: ignore[attr-defined]


@pytest.fixture
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files are all that is looked at: a graph that stays in float32, which takes no time."""
    monkeypatch.setattr("dualsight.engine.quantize._quantised", lambda graph, calibration: graph)


def test_weights_of_any_name_come_along_through_links(tmp_path: Path, as_it_was: None) -> None:
    source = tmp_path / "cache"
    source.mkdir()
    (source / "config.yaml").write_bytes((demo_folder() / "config.yaml").read_bytes())
    (source / "other.safetensors").symlink_to(demo_folder() / "model.safetensors")  # as a hub's cache has it
    quantize(load_checkpoint(source), tmp_path / "int8", pixels(8), min_cosine=0.0)
    weights = tmp_path / "int8" / "other.safetensors"
    assert weights.is_file() and not weights.is_symlink()
    assert dualsight.load(tmp_path / "int8", precision="exact").fingerprint == dualsight.load().fingerprint


def test_a_weight_file_that_was_named_comes_along_and_is_found(tmp_path: Path, as_it_was: None) -> None:
    source = tmp_path / "source"
    shutil.copytree(demo_folder(), source)
    tensors = map_tensors(source / "model.safetensors")
    write_weights(source / "tuned.bin", {**tensors, "logit_scale": tensors["logit_scale"] + 1})
    checkpoint = load_checkpoint(source / "tuned.bin")
    quantize(checkpoint, tmp_path / "int8", pixels(8), min_cosine=0.0)
    assert load_checkpoint(tmp_path / "int8").fingerprint == checkpoint.fingerprint


def test_too_few_pictures_and_a_folder_in_use(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="8 pictures"):
        quantize(load_checkpoint("demo"), tmp_path / "int8", pixels(7))
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("")
    with pytest.raises(OutputError, match="exists already"):
        quantize(load_checkpoint("demo"), tmp_path / "used", pixels(8))
