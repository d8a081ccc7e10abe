from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dualsight.checkpoint import verify as module
from dualsight.checkpoint.load import Checkpoint, load_checkpoint
from dualsight.checkpoint.verify import Published, Report, published, verify
from dualsight.checkpoint.weights import map_tensors, sha256
from dualsight.image.open import open as open_image
from dualsight.image.prepare import prepare
from dualsight.model.dual import DualEncoder
from golden import HERE, WEIGHTS, recipe

Folder = Callable[[str], Path]
ALWAYS = ["weight file", "header", "key table", "tokenizer", "finite weights", "determinism"]


def _failed(report: Report) -> list[str]:
    return [check.name for check in report.checks if not check.passed]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(recipe.image("xray", 120, 100, 1, 1)).save(tmp_path / "xray.png")
    return tmp_path / "xray.png"


@pytest.fixture
def official(recipe_folder: Folder, picture: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """The recipe weights as if they were the published ones, with what they return as the published figures."""
    checkpoint = load_checkpoint(recipe_folder("davit"))
    facts = _facts_of(checkpoint, recipe_folder("davit") / WEIGHTS, picture)
    monkeypatch.setattr(module, "published", lambda: facts)
    return facts


def _facts_of(checkpoint: Checkpoint, weights: Path, picture: Path) -> Published:
    texts = ["lumbar spine", "chest", "x-ray chest anteroposterior Pneumonia"]
    tokens = checkpoint.tokenizer(texts)
    (frame,) = open_image(picture)
    pixels = torch.from_numpy(prepare(frame, checkpoint.config.preprocessing))[None]
    with torch.inference_mode():
        rows = checkpoint.model.encode_text(
            torch.from_numpy(tokens.input_ids), torch.from_numpy(tokens.attention_mask)
        ).double()
        image = checkpoint.model.encode_image(pixels)[0].double()
    return Published(
        size=weights.stat().st_size,
        sha256=sha256(weights),
        logit_scale=4.6052,
        texts={
            text: {"first": rows[i, :3].tolist(), "last": rows[i, -3:].tolist()} for i, text in enumerate(texts[:2])
        },
        cosines=[(texts[0], texts[1], float(rows[0] @ rows[1]))],
        pair_text=texts[2],
        text_embedding=rows[2].numpy(),
        image_name="xray.png",
        image_embedding=image.numpy(),
    )


def test_a_sound_checkpoint_passes_and_is_not_called_official(recipe_folder: Folder) -> None:
    report = verify(recipe_folder("davit"))
    assert [check.name for check in report.checks] == ALWAYS
    assert report.passed
    assert not report.official
    assert sha256(recipe_folder("davit") / WEIGHTS) in report.checks[0].detail
    assert "not the official file" in report.checks[0].detail


def test_the_official_weights_are_compared_with_the_published_figures(
    recipe_folder: Folder, official: Published, picture: Path
) -> None:
    report = verify(recipe_folder("davit"), picture)
    assert report.official
    assert report.passed, [check for check in report.checks if not check.passed]
    assert [check.name for check in report.checks][len(ALWAYS) :] == [
        "logit scale",
        "text 'lumbar spine'",
        "text 'chest'",
        "cosine 'lumbar spine', 'chest'",
        "text 'x-ray chest anteroposterior Pneumonia'",
        "image xray.png",
    ]


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        (lambda f: {"logit_scale": f.logit_scale + 1e-4}, "logit scale"),
        (lambda f: {"cosines": [(*f.cosines[0][:2], f.cosines[0][2] + 0.003)]}, "cosine 'lumbar spine', 'chest'"),
        (lambda f: {"texts": f.texts | {"chest": f.texts["lumbar spine"]}}, "text 'chest'"),
        (lambda f: {"text_embedding": np.roll(f.text_embedding, 1)}, "text 'x-ray chest anteroposterior Pneumonia'"),
        (lambda f: {"image_embedding": np.roll(f.image_embedding, 1)}, "image xray.png"),
    ],
)
def test_each_published_figure_can_fail(
    recipe_folder: Folder,
    official: Published,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Published], dict[str, object]],
    failed: str,
) -> None:
    wrong = dataclasses.replace(official, **change(official))
    monkeypatch.setattr(module, "published", lambda: wrong)
    assert _failed(verify(recipe_folder("davit"), picture)) == [failed]


def test_the_picture_needs_the_official_weights(recipe_folder: Folder, picture: Path) -> None:
    report = verify(recipe_folder("davit"), picture)
    assert _failed(report) == ["image CXR145_IM-0290-1001.png"]


def test_a_picture_that_cannot_be_read(recipe_folder: Folder, official: Published, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert _failed(verify(recipe_folder("davit"), tmp_path / "broken.png")) == ["image xray.png"]


def _damage(folder: Path, **tensors: torch.Tensor) -> None:
    stored = {key: tensor.clone() for key, tensor in map_tensors(folder / WEIGHTS).items()}
    save_file(stored | tensors, folder / WEIGHTS)


def test_weights_that_are_not_finite(copy: Path) -> None:
    _damage(copy, image_projection=torch.full((128, 40), torch.nan))
    report = verify(copy)
    assert "finite weights" in _failed(report)
    assert any("1 tensors hold NaN or infinity: image_projection" in check.detail for check in report.checks)


def test_a_wrong_key_table(copy: Path) -> None:
    _damage(copy, extra=torch.ones(1))
    report = verify(copy)
    assert _failed(report) == ["key table"]
    assert "extra" in report.checks[-1].detail


def test_a_damaged_copy_of_the_official_file_is_said_to_be_one(copy: Path, official: Published) -> None:
    with (copy / WEIGHTS).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x00")
    report = verify(copy)
    assert not report.official
    assert "the official file's size, but not its hash" in report.checks[0].detail


def test_a_truncated_weight_file(copy: Path) -> None:
    (copy / WEIGHTS).write_bytes((copy / WEIGHTS).read_bytes()[:-1])
    report = verify(copy)
    assert not report.passed
    assert "truncated" in report.checks[-1].detail


def test_another_tokenizer(copy: Path) -> None:
    merges = copy / "language_model" / "clip_tokenizer_4.16.2" / "merges.txt"
    lines = merges.read_text().split("\n")
    merges.write_text("\n".join([*lines[:1], *lines[1000:]]))
    assert _failed(verify(copy)) == ["tokenizer"]


def test_a_model_that_is_not_deterministic(recipe_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = DualEncoder.encode_image
    monkeypatch.setattr(DualEncoder, "encode_image", lambda self, pixels: encode(self, pixels) + torch.rand(1) * 1e-6)
    assert _failed(verify(recipe_folder("davit"))) == ["determinism"]


def test_the_shipped_figures_are_the_published_ones() -> None:
    golden = json.loads((HERE / "published.json").read_text())
    facts = published()
    assert facts.pair_text == golden["text"] == "x-ray chest anteroposterior Pneumonia"
    assert facts.text_embedding.tolist() == golden["text_features"]
    assert facts.image_embedding.tolist() == golden["image_features"]
    assert facts.image_name == "CXR145_IM-0290-1001.png"
    assert facts.texts["desktop"] == {
        "first": [-0.0056968, 0.06878266, 0.0043339],
        "last": [-0.02845573, 0.01347476, -0.04035829],
    }
    assert (facts.size, facts.logit_scale) == (2_464_060_700, 4.513362)
    assert facts.cosines[1] == ("lumbar spine", "desktop", 0.33807534)
