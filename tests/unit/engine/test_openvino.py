from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dualsight.checkpoint.load import Checkpoint, load_checkpoint
from dualsight.engine import openvino as module
from dualsight.engine.openvino import GRAPH, OpenVinoEngine, openvino_engine, write_graph
from dualsight.engine.torch import TorchEngine
from dualsight.errors import EngineError, MissingExtra

pytestmark = pytest.mark.usefixtures("engines_cache")


@pytest.fixture(scope="module")
def demo() -> Checkpoint:
    return load_checkpoint("demo")


def engine_of(checkpoint: Checkpoint, precision: str = "float32") -> OpenVinoEngine:
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width
    return openvino_engine(lambda: checkpoint.model, size=size, fingerprint=checkpoint.fingerprint, precision=precision)  # type: ignore[arg-type]


def pictures(checkpoint: Checkpoint, count: int) -> np.ndarray:
    """Smooth ones: noise alone would hardly reach the last stages."""
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width
    coarse = torch.randn(count, 3, 7, 7, generator=torch.Generator().manual_seed(3)) * 2
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").numpy()


@pytest.mark.parametrize("name", ["demo", "davit", "davit-mup", "coswin"])
def test_float32_is_within_1e_5_of_torch(name: str, recipe_folder: Callable[[str], Path]) -> None:
    checkpoint = load_checkpoint(name if name == "demo" else recipe_folder(name))
    pixels = pictures(checkpoint, 5)
    ours, torchs = engine_of(checkpoint).encode_images(pixels), TorchEngine(checkpoint.model).encode_images(pixels)
    np.testing.assert_allclose(ours, torchs, atol=1e-5, rtol=0)


def test_no_picture_depends_on_its_batch(demo: Checkpoint) -> None:
    pixels = pictures(demo, 3)
    engine = engine_of(demo)
    alone = np.concatenate([engine.encode_images(pixels[i : i + 1]) for i in range(3)])
    np.testing.assert_array_equal(engine.encode_images(pixels), alone)
    assert engine.encode_images(pixels[:0]).shape == (0, alone.shape[1])


def test_bfloat16_keeps_the_cosine(demo: Checkpoint) -> None:
    pixels = pictures(demo, 8)
    if not module.has_bfloat16():
        with pytest.raises(EngineError, match="bfloat16"):
            engine_of(demo, "bfloat16")
        return
    reduced = engine_of(demo, "bfloat16").encode_images(pixels)
    assert ((reduced * TorchEngine(demo.model).encode_images(pixels)).sum(1) >= 0.9999).all()


def test_only_matrix_products_are_in_bfloat16(demo: Checkpoint) -> None:
    if not module.has_bfloat16():
        pytest.skip("this processor has no bfloat16: everything is in float32")
    precisions: dict[str, set[str]] = defaultdict(set)
    for op in engine_of(demo, "bfloat16")._compiled.get_runtime_model().get_ordered_ops():
        facts = op.get_rt_info()
        precisions[str(facts["layerType"].value)].add(str(facts["runtimePrecision"].value))
    assert precisions["FullyConnected"] == {"bf16"}
    assert all(precisions[kind] == {"f32"} for kind in ("Convolution", "MVN"))


def test_it_computes_with_as_many_threads_as_it_is_told(demo: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dualsight.engine.processor._threads", 1)
    alone = engine_of(demo)._compiled
    assert (alone.get_property("INFERENCE_NUM_THREADS"), alone.get_property("ENABLE_CPU_PINNING")) == (1, False)


def test_texts_are_torchs_own(demo: Checkpoint) -> None:
    tokens = demo.tokenizer(["x-ray chest", "mri brain axial"])
    ours = engine_of(demo).encode_texts(tokens.input_ids, tokens.attention_mask)
    np.testing.assert_array_equal(ours, TorchEngine(demo.model).encode_texts(tokens.input_ids, tokens.attention_mask))


def test_a_graph_of_other_weights_is_not_believed(
    demo: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUALSIGHT_CACHE", str(tmp_path))
    other = load_checkpoint("demo")
    with torch.no_grad():
        other.model.image_projection.copy_(other.model.image_projection * torch.linspace(0.5, 1.5, 128))
    engine_of(demo)
    (graph,) = tmp_path.glob(f"engines/*/{GRAPH}")
    write_graph(other.model, (112, 112), graph)
    for checked in tmp_path.glob("engines/*"):
        if checked.is_dir() and not (checked / GRAPH).exists():
            checked.rmdir()
    with pytest.raises(EngineError, match="differ from torch"):
        engine_of(demo)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra) as caught:
        module.version()
    assert "dualsight[openvino]" in caught.value.hint


def test_its_import_tells_nobody() -> None:
    script = """
import socket
def refuse(*arguments): raise SystemExit("a connection was asked for")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from dualsight.engine import openvino
openvino.version()
import sys
assert sys.modules["openvino_telemetry"] is None
assert "telemetry_stub" in type(sys.modules["openvino.tools.ovc"].telemetry).__module__
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_was_compiled_starts_without_torch(recipe_folder: Callable[[str], Path], tmp_path: Path) -> None:
    script = f"""
import sys
import numpy as np
import dualsight
model = dualsight.load({str(recipe_folder("davit"))!r}, engine="openvino")
vectors = model.encode_image(np.full((2, 50, 60, 3), 100, np.uint8))
print("torch" in sys.modules, vectors.shape, model.encode_text("chest").shape)
"""
    environment = {**os.environ, "DUALSIGHT_CACHE": str(tmp_path)}
    said = [
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [run.stdout.strip() for run in said] == ["True (2, 40) (1, 40)", "False (2, 40) (1, 40)"]
