from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dualsight.checkpoint import hub
from dualsight.checkpoint.assemble import load_image_encoder
from dualsight.checkpoint.layout import DEMO_MARK, INT8_GRAPH, INT8_REPORT
from dualsight.checkpoint.load import load_checkpoint
from dualsight.checkpoint.weights import map_tensors
from dualsight.errors import CheckpointError, ConfigError, MissingTensor, ShapeMismatch, UnexpectedTensor
from dualsight.model.config import DaViTConfig, preset
from golden import HERE, SEED, SMALL, WEIGHTS, Golden, recipe, timm_weights

Folder = Callable[[str], Path]


@pytest.fixture
def quantised(copy: Path) -> Path:
    """The same with an int8 graph of its weights, as far as loading looks at it."""
    (copy / INT8_GRAPH).parent.mkdir()
    (copy / INT8_GRAPH).touch()
    (copy / INT8_REPORT).write_text(json.dumps({"fingerprint": load_checkpoint(copy).fingerprint}))
    return copy


def _rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change({key: tensor.clone() for key, tensor in map_tensors(folder / WEIGHTS).items()}), folder / WEIGHTS)


@pytest.mark.parametrize("name", SMALL)
def test_weights_arrive_under_their_keys_as_stored(recipe_folder: Folder, name: str) -> None:
    checkpoint = load_checkpoint(recipe_folder(name))
    state = checkpoint.model.state_dict()
    stored = {key: value for key, value in Golden(name).weights().items() if value.size}
    assert state.keys() == stored.keys()
    assert all(np.array_equal(state[key].numpy(), stored[key]) for key in stored)


def test_what_a_checkpoint_holds(recipe_folder: Folder) -> None:
    folder = recipe_folder("davit")
    checkpoint = load_checkpoint(str(folder))
    assert (checkpoint.name, checkpoint.path, checkpoint.is_demo) == ("2024.09.27", folder, False)
    assert checkpoint.weights == folder / WEIGHTS
    assert checkpoint.config_text == (folder / "config.yaml").read_text()
    assert checkpoint.config.dual == checkpoint.model.config
    assert checkpoint.tokenizer_folder == folder / "language_model" / "clip_tokenizer_4.16.2"
    assert checkpoint.tokenizer(["chest"]).input_ids.tolist() == [[49406, 10563, 49407]]
    assert not checkpoint.model.training
    assert all(
        parameter.requires_grad and parameter.device.type == "cpu" for parameter in checkpoint.model.parameters()
    )


def test_training_a_loaded_model_leaves_the_file_alone(copy: Path) -> None:
    before = (copy / WEIGHTS).read_bytes()
    model = load_checkpoint(copy).model
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    (model.logit_scale * model.image_projection.sum()).backward()
    optimizer.step()
    assert (copy / WEIGHTS).read_bytes() == before
    assert not torch.equal(model.image_projection, load_checkpoint(copy).model.image_projection)


def test_a_folder_without_tokenizer_uses_the_packaged_one(copy: Path) -> None:
    shutil.rmtree(copy / "language_model")
    checkpoint = load_checkpoint(copy)
    assert checkpoint.tokenizer_folder is None
    assert checkpoint.tokenizer(["chest"]).input_ids.tolist() == [[49406, 10563, 49407]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_converted(copy: Path, dtype: torch.dtype) -> None:
    _rewrite(copy, lambda tensors: {key: tensor.to(dtype) for key, tensor in tensors.items()})
    state = load_checkpoint(copy).model.state_dict()
    expected = torch.from_numpy(recipe.weight("image_projection", (128, 40), SEED)).to(dtype).float()
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    assert torch.equal(state["image_projection"], expected)


def test_earlier_names_of_the_towers(copy: Path) -> None:
    before = load_checkpoint(copy).fingerprint
    renames = {
        "image_encoder.": "visual.",
        "lang_encoder.": "text.",
        "image_proj": "vision_proj",
        "lang_proj": "text_proj",
    }

    def earlier(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        for new, old in renames.items():
            tensors = {old + key.removeprefix(new) if key.startswith(new) else key: t for key, t in tensors.items()}
        return tensors

    _rewrite(copy, earlier)
    assert "text_projection" in map_tensors(copy / WEIGHTS)
    assert load_checkpoint(copy).fingerprint == before


def test_a_shorter_context_resizes_the_positions(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("CONTEXT_LENGTH: 77", "CONTEXT_LENGTH: 40"))
    with caplog.at_level(logging.WARNING):
        model = load_checkpoint(copy).model
    assert model.lang_encoder.positional_embedding.shape == (40, 48)
    assert "positional_embedding resized from [77, 48] to [40, 48]" in caplog.text


def test_a_larger_picture_resizes_coswins_positions(
    recipe_folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(shutil.copytree(recipe_folder("coswin-ape-layerscale"), tmp_path / "larger"))
    config = folder / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("IMAGE_SIZE:\n  - 128\n  - 128", "IMAGE_SIZE:\n  - 128\n  - 256"))
    assert config.read_text() != text
    with caplog.at_level(logging.WARNING):
        model = load_checkpoint(folder).model
    assert model.image_encoder.absolute_pos_embed.shape == (1, 64 * 32, 16)
    assert "absolute_pos_embed resized from [1, 1024, 16]" in caplog.text


def test_a_missing_an_unexpected_and_a_misshaped_tensor(copy: Path) -> None:
    stored = {key: tensor.clone() for key, tensor in map_tensors(copy / WEIGHTS).items()}
    weights = str(copy / WEIGHTS)
    save_file({key: tensor for key, tensor in stored.items() if key != "image_projection"}, weights)
    with pytest.raises(MissingTensor, match="1 of 209 tensors are missing: image_projection") as missing:
        load_checkpoint(copy)
    save_file({**stored, "image_encoder.extra": torch.ones(1)}, weights)
    with pytest.raises(UnexpectedTensor, match=r"image_encoder\.extra") as unexpected:
        load_checkpoint(copy)
    save_file({**stored, "image_projection": torch.ones(128, 41)}, weights)
    with pytest.raises(ShapeMismatch, match=r"image_projection is \[128, 41\], not \[128, 40\]") as misshaped:
        load_checkpoint(copy)
    assert all(weights in str(error.value) and error.value.hint for error in (missing, unexpected, misshaped))


def test_integer_weights_are_refused(copy: Path) -> None:
    _rewrite(copy, lambda tensors: tensors | {"logit_scale": torch.tensor(4)})
    with pytest.raises(CheckpointError, match="logit_scale holds int64"):
        load_checkpoint(copy)


def test_a_config_that_cannot_be_read(copy: Path) -> None:
    (copy / "config.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read"):
        load_checkpoint(copy)


def test_equal_fingerprints_mean_equal_weights_and_preprocessing(copy: Path) -> None:
    def print_of() -> str:
        return load_checkpoint(copy).fingerprint

    before = print_of()
    assert before == print_of()
    config = copy / "config.yaml"
    text = config.read_text()
    config.write_text("# a comment\n" + text)
    assert print_of() == before
    config.write_text(text.replace("CENTER_CROP: false", "CENTER_CROP: true"))
    assert print_of() != before
    config.write_text(text)
    _rewrite(copy, lambda tensors: tensors | {"logit_scale": tensors["logit_scale"].nextafter(torch.tensor(9.0))})
    assert print_of() != before


def test_the_fingerprint_is_computed_once(recipe_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = load_checkpoint(recipe_folder("davit"))
    first = checkpoint.fingerprint
    monkeypatch.setattr("dualsight.checkpoint.assemble.fingerprint", lambda *_: pytest.fail("computed again"))
    assert checkpoint.fingerprint == first


def test_the_demo_says_that_it_is_one(recipe_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = tmp_path / "demo"
    demo.mkdir()
    config = (recipe_folder("davit") / "config.yaml").read_text()
    (demo / "config.yaml").write_text(f"{DEMO_MARK}\n{config}")
    halves = {key: tensor.half() for key, tensor in map_tensors(recipe_folder("davit") / WEIGHTS).items()}
    save_file(halves, demo / "model.safetensors")
    monkeypatch.setattr(hub, "demo_folder", lambda: demo)
    checkpoint = load_checkpoint("demo")
    assert (checkpoint.name, checkpoint.is_demo) == ("demo", True)
    assert load_checkpoint(demo).is_demo
    assert not load_checkpoint(recipe_folder("davit")).is_demo


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "config", "side", "output"),
    [
        ("davit_tiny", preset("davit-tiny"), 224, "davit_tiny_logits"),
        (
            "small_fl",
            DaViTConfig(
                widths=(16, 32, 64, 128), depths=(1, 1, 2, 1), heads=(2, 4, 8, 16), groups=(2, 4, 8, 16), window=5
            ),
            96,
            "small_fl_pooled",
        ),
    ],
)
def test_timm_checkpoints_give_timms_outputs(name: str, config: DaViTConfig, side: int, output: str) -> None:
    encoder = load_image_encoder({key: torch.from_numpy(t) for key, t in timm_weights(name).items()}, config)
    pixels = recipe.image("a", side, side, 3, SEED).astype(np.float32) / 255
    if name == "davit_tiny":
        pixels = (pixels - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    with torch.inference_mode():
        ours = encoder(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    theirs = np.load(HERE / "timm-davit" / "expected.npz")[output]
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4 * np.abs(theirs).max(), rtol=0)


def test_the_image_encoder_of_a_whole_checkpoint(recipe_folder: Folder) -> None:
    whole = load_checkpoint(recipe_folder("davit")).model.image_encoder
    alone = load_image_encoder(recipe_folder("davit") / WEIGHTS, whole.config)
    assert not alone.training
    assert all(torch.equal(*pair) for pair in zip(whole.parameters(), alone.parameters(), strict=True))


def test_a_text_encoder_is_no_image_encoder(recipe_folder: Folder) -> None:
    config = load_checkpoint(recipe_folder("davit")).model.image_encoder.config
    with pytest.raises(MissingTensor, match="tensors: 178 of 178"):
        load_image_encoder({"lang_encoder.ln_final.weight": torch.ones(1)}, config)


@pytest.mark.e2e
def test_loading_maps_the_weights_and_imports_no_compiler(tmp_path: Path, recipe_folder: Folder) -> None:
    """Drawing random weights on the meta device would import torch._dynamo, for seconds; a copy would cost memory."""
    folder = Path(shutil.copytree(recipe_folder("davit"), tmp_path / "large"))
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("CONTEXT_LENGTH: 77", "CONTEXT_LENGTH: 1000000"))
    _rewrite(folder, lambda tensors: tensors | {"lang_encoder.positional_embedding": torch.zeros(1_000_000, 48)})
    code = (
        "import sys\n"
        "from dualsight.checkpoint.load import load_checkpoint\n"
        "from dualsight.engine.memory import peak_bytes\n"
        f"load_checkpoint({str(recipe_folder('davit'))!r}); before = peak_bytes()\n"
        f"load_checkpoint({str(folder)!r}); print((peak_bytes() - before) // 2**20, 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    grown, compiler = done.stdout.split()
    assert int(grown) < 60, "a file with 192 MB of positions was copied into memory"
    assert compiler == "False"


def test_an_int8_graph_is_that_of_a_folder_or_of_its_weight_file(quantised: Path) -> None:
    for where in (quantised, quantised / WEIGHTS):
        assert load_checkpoint(where).int8_graph == quantised / INT8_GRAPH


@pytest.mark.parametrize("other", ["other.safetensors", f"{WEIGHTS}.safetensors"])
def test_an_int8_graph_is_none_of_another_weight_file_beside(quantised: Path, other: str) -> None:
    tuned = {
        key: tensor + 1 if key == "logit_scale" else tensor for key, tensor in map_tensors(quantised / WEIGHTS).items()
    }
    save_file(tuned, quantised / other)
    assert load_checkpoint(quantised / other).int8_graph is None
    assert load_checkpoint(quantised / WEIGHTS).int8_graph == quantised / INT8_GRAPH
    (quantised / INT8_REPORT).unlink()
    assert load_checkpoint(quantised / other).int8_graph is None
