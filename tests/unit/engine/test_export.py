from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dualsight.checkpoint.load import Checkpoint, load_checkpoint
from dualsight.engine import export as module
from dualsight.engine.agreement import smooth_pixels
from dualsight.engine.export import export
from dualsight.engine.torch import TorchEngine
from dualsight.errors import EngineError, OutputError

RUNTIMES = {
    "onnx": """
import onnxruntime
def run(name, given):
    return onnxruntime.InferenceSession(f"{folder}/{name}.onnx").run(None, given)[0]
""",
    "openvino": """
import openvino
def run(name, given):
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.compile_model(f"{folder}/{name}.xml", "CPU", settings)(given)[0]
""",
}
ALONE = """
import sys
sys.modules.update(dict.fromkeys(("dualsight", "torch")))  # an import of either fails
import numpy as np
folder, inputs, outputs = sys.argv[1:]
{runtime}
given = np.load(inputs)
images = run("image", {{"pixels": given["pixels"]}})
texts = run("text", {{"input_ids": given["input_ids"], "attention_mask": given["attention_mask"]}})
np.savez(outputs, images=images, texts=texts)
"""


@pytest.mark.parametrize("format", ["onnx", "openvino"])
@pytest.mark.parametrize("name", ["davit-autoregressive", "coswin"])
def test_the_files_run_without_this_package(
    name: str, format: module.Format, recipe_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(recipe_folder(name))
    folder = tmp_path / "exported"
    found = export(checkpoint, folder, format)
    assert max(found.images, found.texts) <= 1e-5
    engine = TorchEngine(checkpoint.model)
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width
    pixels = smooth_pixels(4, size)[1:]  # three, and not those that it was compared on alone
    tokens = checkpoint.tokenizer(["ct chest axial", "a longer text about a knee, to be padded to"])
    np.savez(tmp_path / "in.npz", pixels=pixels, input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
    script = ALONE.format(runtime=RUNTIMES[format])
    paths = [str(folder), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", script, *paths], check=True)
    alone = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(alone["images"], engine.encode_images(pixels), atol=1e-5)
    texts = engine.encode_texts(tokens.input_ids, tokens.attention_mask)
    np.testing.assert_allclose(alone["texts"], texts, atol=1e-5)
    said = json.loads((folder / "export.json").read_text())
    assert said["fingerprint"] == checkpoint.fingerprint
    assert (said["image"]["height"], said["image"]["width"]) == size
    assert (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    for file in folder.iterdir():
        assert str(Path.home()).encode() not in file.read_bytes() and b"site-packages" not in file.read_bytes()


def test_what_differs_from_torch_is_not_written(
    recipe_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = load_checkpoint(recipe_folder("davit"))
    monkeypatch.setattr(module, "image_graph", lambda model, size, any_batch: broken(checkpoint, size))
    with pytest.raises(EngineError, match="nothing is written"):
        export(checkpoint, tmp_path / "exported", "openvino")
    assert list(tmp_path.iterdir()) == []


def broken(checkpoint: Checkpoint, size: tuple[int, int]) -> object:
    import torch

    from dualsight.engine.graph import image_graph

    other = load_checkpoint(checkpoint.path or "").model
    with torch.no_grad():
        other.image_projection.mul_(torch.linspace(0.9, 1.1, other.image_projection.shape[1]))
    return image_graph(other, size, any_batch=True)


def test_a_folder_in_use(recipe_folder: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="exists already"):
        export(load_checkpoint(recipe_folder("davit")), tmp_path, "onnx")
