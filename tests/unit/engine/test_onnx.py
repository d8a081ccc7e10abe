from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

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


@pytest.mark.parametrize(("told", "threads"), [("1", 1), ("3,1", 3), ("", None), ("many", None)])
def test_it_computes_with_as_many_threads_as_it_is_told(
    recipe_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, told: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    given = engine_of(load_checkpoint(recipe_folder("davit")))._session.get_session_options().intra_op_num_threads
    assert given == (threads or module.n_cores())


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra) as caught:
        module.version()
    assert "dualsight[onnx]" in caught.value.hint
