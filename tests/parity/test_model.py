"""Every small golden model, from files on disk, against what the reference returned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import dualsight
from dualsight.task.classify import Classification
from golden import SMALL, Golden

pytestmark = pytest.mark.parity

EMBEDDING = 1e-5  # float32 sums in another order, after normalisation
STAGE = 1e-4  # the same before it, on values up to about 50


@pytest.fixture(scope="module", params=SMALL)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


@pytest.fixture(scope="module")
def model(golden: Golden, recipe_folder: Callable[[str], Path]) -> dualsight.Model:
    return dualsight.load(recipe_folder(golden.name))


def test_image_embeddings_from_pictures(golden: Golden, model: dualsight.Model) -> None:
    embeddings = model.encode_image(golden.images())
    np.testing.assert_allclose(embeddings, golden.expected["image_embeddings"], atol=EMBEDDING, rtol=0)


def test_text_embeddings_from_words(golden: Golden, model: dualsight.Model) -> None:
    embeddings = model.encode_text(golden.inputs["prompts"])
    np.testing.assert_allclose(embeddings, golden.expected["text_embeddings"], atol=EMBEDDING, rtol=0)


@pytest.mark.parametrize("multilabel", [False, True])
def test_probabilities(golden: Golden, model: dualsight.Model, multilabel: bool) -> None:
    prompts = golden.inputs["prompts"]
    results = model.classify(golden.images(), prompts, multilabel=multilabel)
    expected = golden.expected["sigmoid" if multilabel else "softmax"]
    for result, row in zip(results, expected, strict=True):
        assert isinstance(result, Classification)
        assert list(result.probabilities) == sorted(result.probabilities, reverse=True)
        # 1e-5 on an embedding is 1e-3 on a logit, hence at most 2.5e-4 on a probability
        np.testing.assert_allclose([result.as_dict()[p] for p in prompts], row, atol=2.5e-4, rtol=0)


def test_every_stage(golden: Golden, model: dualsight.Model) -> None:
    expected = golden.expected
    with torch.inference_mode():
        stages = model.checkpoint.model.image_encoder.stages(torch.from_numpy(expected["pixels"]))
    swin = golden.name.startswith("coswin")
    for i, stage in enumerate(stages):
        # The reference's CoSwin counts the convolution to the next stage as the end of this one.
        end = stages[i + 1].embedded if swin and i < 3 else stage.tokens
        np.testing.assert_allclose(end.numpy(), expected[f"stage{i + 1}"], atol=STAGE, rtol=0)
        if not swin:
            np.testing.assert_allclose(stage.embedded.numpy(), expected[f"stage{i + 1}_embed"], atol=STAGE, rtol=0)
        assert stage.grid[0] * stage.grid[1] == stage.tokens.shape[1]


def test_hidden_states_at_full_context(golden: Golden, model: dualsight.Model) -> None:
    ids, mask = golden.tokens
    with torch.inference_mode():
        hidden = model.checkpoint.model.lang_encoder.hidden_states(torch.from_numpy(ids), torch.from_numpy(mask))
    np.testing.assert_allclose(hidden.numpy(), golden.expected["last_hidden_state"], atol=STAGE, rtol=0)


def test_features_and_projection(golden: Golden, model: dualsight.Model) -> None:
    encoder = model.checkpoint.model
    with torch.inference_mode():
        features = encoder.image_encoder.features(torch.from_numpy(golden.expected["pixels"]))
        projected = features @ encoder.image_projection
    np.testing.assert_allclose(features.numpy(), golden.expected["features"], atol=STAGE, rtol=0)
    np.testing.assert_allclose(projected.numpy(), golden.expected["image_projected"], atol=STAGE, rtol=0)
