from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dualsight.checkpoint.layout import demo_folder
from dualsight.checkpoint.load import Checkpoint, load_checkpoint
from dualsight.checkpoint.save import write_weights
from dualsight.checkpoint.weights import map_tensors
from dualsight.engine import select
from dualsight.engine.select import Measured, Offer, choose, measure, offers, stored_fingerprint
from dualsight.errors import ConfigError, EngineError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUALSIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def demo() -> Checkpoint:
    return load_checkpoint("demo")


def test_a_small_model_is_not_compiled(demo: Checkpoint) -> None:
    choice = choose(demo)
    assert choice.engine.name.startswith("torch")
    assert choice.engine.precision == "float32"
    assert "would not pay" in choice.reasons[0]


def times(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float | None]) -> None:
    """Has every model measured, and these the figures."""
    monkeypatch.setattr(select, "SMALL_BYTES", 0)
    monkeypatch.setattr(
        select,
        "measure",
        lambda checkpoint, among: [
            Measured(one.engine, one.precision, seconds[one.title], "" if seconds[one.title] else "broken")
            for one in among
        ],
    )
    monkeypatch.setattr(select, "has_bfloat16", lambda: True)


def test_the_quickest_of_the_accuracy_asked_for_is_chosen(demo: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: dict[str, float | None] = {
        "torch, float32": 3.0,
        "torch, bfloat16": 0.5,
        "openvino, float32": 1.3,
        "openvino, bfloat16": 0.7,
        "onnxruntime, float32": 2.0,
    }
    times(monkeypatch, figures)
    assert choose(demo).engine.name.startswith("openvino")
    assert choose(demo).engine.precision == "float32"
    fast = choose(demo, precision="fast")
    assert (fast.engine.name.split()[0], fast.engine.precision) == ("torch", "bfloat16")
    assert fast.reasons[0] == "torch, bfloat16: 0.50 s a picture, measured here"
    assert choose(demo, name="torch").engine.precision == "float32"


# torch's compiler uses what torch has deprecated
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_compiling_is_torchs(demo: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", lambda images, **options: images)
    assert "compiled for 2" in choose(demo, compiled=2).engine.name
    with pytest.raises(EngineError, match="'openvino'"):
        choose(demo, name="openvino", compiled=2)
    with pytest.raises(ConfigError, match="a batch of 0 pictures"):
        choose(demo, compiled=0)


def test_an_engine_that_fails_is_passed_over(demo: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    times(monkeypatch, {"torch, float32": 3.0, "openvino, float32": None, "onnxruntime, float32": 4.0})
    choice = choose(demo)
    assert choice.engine.name.startswith("torch")
    assert "openvino, float32: broken" in choice.reasons


def test_measuring_is_remembered(demo: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    among = [Offer("torch", "float32"), Offer("torch", "int8")]
    first = measure(demo, among)
    assert first[0].seconds and first[0].seconds > 0
    assert first[1].seconds is None
    assert "int8" in first[1].problem
    monkeypatch.setattr(select, "build", None)  # not asked again
    assert measure(demo, among) == first


@pytest.mark.parametrize(
    "asked",
    [{"name": "tensorflow"}, {"precision": "int4"}, {"precision": "int8"}, {"device": "cuda:99"}],
    ids=str,
)
def test_what_is_not_offered(demo: Checkpoint, asked: dict[str, str]) -> None:
    with pytest.raises(EngineError) as caught:
        choose(demo, **asked)  # type: ignore[arg-type]
    assert caught.value.hint


def test_what_is_missing_says_how_to_get_it(demo: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    monkeypatch.setattr(select, "has_bfloat16", lambda: False)
    missing = {offer.title: offer.missing for offer in offers(demo)}
    assert missing["openvino, float32"] == "pip install 'dualsight[openvino]'"
    assert missing["onnxruntime, float32"] == "pip install 'dualsight[onnx]'"
    assert "no bfloat16" in missing["torch, bfloat16"]
    assert choose(demo, precision="fast").reasons == ("the only one installed for fast",)


def test_a_fingerprint_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(demo_folder(), folder)
    checkpoint = load_checkpoint(folder)
    assert stored_fingerprint(checkpoint) == checkpoint.fingerprint
    again = load_checkpoint(folder)
    monkeypatch.setattr("dualsight.checkpoint.assemble.fingerprint", lambda model, config: "computed again")
    assert stored_fingerprint(again) == checkpoint.fingerprint
    (folder / "model.safetensors").touch()
    assert stored_fingerprint(load_checkpoint(folder)) == "computed again"


@pytest.mark.parametrize("named", ["tuned.bin", "vision_model/b.pt"])
def test_a_weight_file_that_was_named_is_the_one_that_counts(tmp_path: Path, named: str) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(demo_folder(), folder)
    tensors = map_tensors(folder / "model.safetensors")
    (folder / named).parent.mkdir(exist_ok=True)
    shutil.copyfile(folder / "model.safetensors", (folder / named).with_name("a.pt"))
    write_weights(folder / named, {**tensors, "logit_scale": tensors["logit_scale"] + 1})
    beside = load_checkpoint(folder / "model.safetensors")
    assert stored_fingerprint(beside) == beside.fingerprint
    tuned = load_checkpoint(folder / named)
    assert "would not pay" in choose(tuned).reasons[0]
    assert stored_fingerprint(tuned) == tuned.fingerprint != beside.fingerprint
