from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from dualsight.checkpoint.load import Checkpoint, load_checkpoint
from dualsight.engine import onnx as module
from dualsight.engine.agreement import smooth_pixels
from dualsight.engine.onnx import GRAPH, OnnxEngine, onnx_engine
from dualsight.engine.torch import TorchEngine
from dualsight.errors import EngineError, MissingExtra

pytestmark = pytest.mark.usefixtures("engines_cache")


def size_of(checkpoint: Checkpoint) -> tuple[int, int]:
    return checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width


def engine_of(checkpoint: Checkpoint) -> OnnxEngine:
    return onnx_engine(lambda: checkpoint.model, size=size_of(checkpoint), fingerprint=checkpoint.fingerprint)


@pytest.mark.parametrize("name", ["davit", "davit-mup", "coswin"])
def test_float32_is_within_1e_5_of_torch(name: str, recipe_folder: Callable[[str], Path]) -> None:
    checkpoint = load_checkpoint(recipe_folder(name))
    engine, torchs = engine_of(checkpoint), TorchEngine(checkpoint.model)
    assert (engine.name.split()[0], engine.precision) == ("onnxruntime", "float32")
    pixels = smooth_pixels(5, size_of(checkpoint))
    for n in (1, 5):
        ours = engine.encode_images(pixels[:n])
        np.testing.assert_allclose(ours, torchs.encode_images(pixels[:n]), atol=1e-5, rtol=0)
    tokens = checkpoint.tokenizer(["x-ray chest", "mri brain axial"])
    texts = engine.encode_texts(tokens.input_ids, tokens.attention_mask)
    np.testing.assert_array_equal(texts, torchs.encode_texts(tokens.input_ids, tokens.attention_mask))


def test_a_graph_that_differs_from_torch_is_not_believed(
    recipe_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUALSIGHT_CACHE", str(tmp_path))
    checkpoint = load_checkpoint(recipe_folder("davit"))
    engine_of(checkpoint)
    (weights,) = tmp_path.glob(f"engines/*/{GRAPH}.data")
    values = np.fromfile(weights, np.float32)
    (1.01 * values).tofile(weights)
    for checked in tmp_path.glob("engines/*"):
        if checked.is_dir() and not (checked / GRAPH).exists():
            checked.rmdir()
    with pytest.raises(EngineError, match="differ from torch"):
        engine_of(checkpoint)


@pytest.mark.parametrize("told", [None, 3])
def test_it_computes_with_as_many_threads_as_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: int | None
) -> None:
    monkeypatch.setattr("dualsight.engine.processor._threads", told)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "the same", [given], [made])
    opset = [helper.make_opsetid("", 21)]
    save(helper.make_model(graph, ir_version=10, opset_imports=opset), tmp_path / "same.onnx")
    options = module.open_session(tmp_path / "same.onnx").get_session_options()
    assert options.intra_op_num_threads == (told or module.n_cores())


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra) as caught:
        module.version()
    assert "dualsight[onnx]" in caught.value.hint
