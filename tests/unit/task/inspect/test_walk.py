from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dualsight.errors import TextError, UnreadableImage
from dualsight.image.prepare import normalise
from dualsight.task.inspect.walk import match, statistics, walk_image, walk_text
from dualsight.task.model import Model, load
from golden import Golden


@pytest.fixture(scope="module", params=["davit", "coswin", "davit-autoregressive"])
def model(request: pytest.FixtureRequest, recipe_folder: Callable[[str], Path]) -> Model:
    return load(recipe_folder(request.param))


@pytest.fixture
def picture() -> np.ndarray:
    return Golden("davit").images()[0]


def test_walk_ends_where_the_model_does(model: Model, picture: np.ndarray) -> None:
    walk = walk_image(model, picture)
    np.testing.assert_allclose(walk.embedding, model.encode_image(picture)[0], atol=1e-6)  # another memory layout
    assert walk.features.shape == (model.config.dual.image.feature_width,)
    assert walk.shown.tobytes() == picture.tobytes()


def test_pixels_are_what_the_encoder_sees(model: Model, picture: np.ndarray) -> None:
    walk = walk_image(model, picture)
    pixels = normalise(walk.resized, model.config.preprocessing)
    assert walk.resized.shape == (*model.config.dual.image_size, 3)
    assert walk.pixels.shape == (1, *pixels.shape)
    assert walk.pixels.mean == pytest.approx(float(pixels.mean(dtype=np.float64)))


def test_stages_are_the_models_own(model: Model, picture: np.ndarray) -> None:
    walk = walk_image(model, picture)
    pixels = torch.from_numpy(normalise(walk.resized, model.config.preprocessing))[None]
    with torch.inference_mode():
        stages = model.checkpoint.model.image_encoder.stages(pixels)
    for ours, stage in zip(walk.stages, stages, strict=True):
        assert ours.grid == stage.grid
        assert ours.embedded == statistics(stage.embedded)
        assert ours.tokens == statistics(stage.tokens)
        assert ours.picture.components.shape == (*stage.grid, 3)


def test_text_walk_ends_where_the_model_does(model: Model) -> None:
    walk = walk_text(model, "X-ray  chest\nPneumonia")
    np.testing.assert_allclose(walk.embedding, model.encode_text("X-ray  chest\nPneumonia")[0], atol=1e-6)
    assert walk.reading == "x - ray chest pneumonia"
    assert walk.pieces == (
        "<|startoftext|>",
        "x</w>",
        "-</w>",
        "ray</w>",
        "chest</w>",
        "pneumonia</w>",
        "<|endoftext|>",
    )
    assert walk.length == walk.mask.sum() == 7
    assert walk.pooled == 6
    assert walk.ids[0] == 49406
    assert (walk.ids[6:] == 49407).all()
    assert len(walk.ids) == len(walk.mask) == 77
    assert walk.hidden.shape == (1, 7, model.config.dual.text.width)


@pytest.mark.parametrize(
    ("text", "reading"),
    [("", ""), ("Größe &amp; Dichte", "größe & dichte"), ("肺炎", "肺炎"), ("a</w>b", "a </ w > b")],
)
def test_reading_is_what_the_pieces_spell(recipe_folder: Callable[[str], Path], text: str, reading: str) -> None:
    assert walk_text(load(recipe_folder("davit")), text).reading == reading


def test_long_text_is_cut_and_keeps_its_end(recipe_folder: Callable[[str], Path]) -> None:
    walk = walk_text(load(recipe_folder("davit")), "mass " * 200)
    assert walk.length == 77
    assert walk.pooled == 76
    assert walk.pieces[-1] == "<|endoftext|>"
    assert walk.reading == " ".join(["mass"] * 75)


def test_matches_are_the_models_classification(model: Model, picture: np.ndarray) -> None:
    labels = ["x-ray chest", "mri brain", "fundus"]
    found = match(model, walk_image(model, picture), [walk_text(model, label) for label in labels])
    assert [row.text for row in found] == labels
    (one,) = model.classify(picture, labels)
    (each,) = model.classify(picture, labels, multilabel=True)
    for row, cosine in zip(found, model.similarity(picture, labels)[0], strict=True):
        assert row.similarity == pytest.approx(float(cosine), abs=1e-6)
        assert row.logit == pytest.approx(row.similarity * math.exp(model.logit_scale))
        assert row.softmax == pytest.approx(one.as_dict()[row.text], abs=1e-4)
        assert row.sigmoid == pytest.approx(each.as_dict()[row.text], abs=1e-4)


def test_a_text_twice_is_refused(recipe_folder: Callable[[str], Path], picture: np.ndarray) -> None:
    model = load(recipe_folder("davit"))
    walk = walk_text(model, "chest")
    with pytest.raises(TextError, match="more than once"):
        match(model, walk_image(model, picture), [walk, walk])


def test_a_bad_picture_is_named(recipe_folder: Callable[[str], Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UnreadableImage, match=r"broken\.png"):
        walk_image(load(recipe_folder("davit")), broken)


def test_statistics() -> None:
    found = statistics(torch.tensor([[3.0, 4.0], [0.0, -1.0]]))
    assert (found.shape, found.mean, found.minimum, found.maximum, found.norm) == ((2, 2), 1.5, -1.0, 4.0, 3.0)
    assert found.std == pytest.approx(np.std([3, 4, 0, -1]))


def test_statistics_of_a_device_without_float64() -> None:
    class OnMps(torch.Tensor):
        def double(self) -> torch.Tensor:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

        def cpu(self) -> torch.Tensor:
            return self.as_subclass(torch.Tensor)

    assert statistics(torch.ones(2, 3).as_subclass(OnMps)).mean == 1.0
