"""A middle stage is told where findings are, and no trace of that stays in the model."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dualsight.learn.deep_supervision import PlacedBatch, supervised
from dualsight.learn.train.loop import fit, pair_loss
from dualsight.learn.train.recipe import Recipe
from dualsight.model.dual import DualEncoder
from tiny_models import TINY

CLASSES = 3


@pytest.fixture
def model() -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(TINY)


@pytest.fixture
def batch() -> PlacedBatch:
    """Four pictures of 4 × 4 cells, the finding bright in the upper or the lower half."""
    pixels = torch.zeros(4, 3, 16, 16)
    found = torch.zeros(4, 4, 4, dtype=torch.bool)
    for rows, half in ((slice(0, 4, 2), slice(0, 2)), (slice(1, 4, 2), slice(2, 4))):
        found[rows, half] = True
    pixels[:] = found[:, None].repeat_interleave(4, 2).repeat_interleave(4, 3)
    found = found.flatten(1)
    ids = torch.tensor([[1, i + 2, 15] for i in range(4)])
    return PlacedBatch(
        pixels=pixels,
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        labels=torch.arange(4),
        classes=torch.arange(4),
        found=found,
        cells=torch.where(found, 1, 0),
    )


def embed(model: DualEncoder, batch: PlacedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    return model.encode_image(batch.pixels), model.encode_text(batch.input_ids, batch.attention_mask)


def test_the_loss_is_the_pairs_and_half_of_each_kind_of_cell(model: DualEncoder, batch: PlacedBatch) -> None:
    with supervised(model, 0, CLASSES) as supervision, torch.no_grad():
        images, texts = embed(model, batch)
        loss = supervision.loss(images, texts, model.logit_scale, batch)
        tokens = model.image_encoder.stages(batch.pixels)[0].tokens
        wrong = F.cross_entropy(
            supervision.head(F.layer_norm(tokens, tokens.shape[-1:])).transpose(1, 2), batch.cells, reduction="none"
        )
    expected = pair_loss(images, texts, model.logit_scale, batch)
    expected = expected + (wrong[batch.found].mean() + wrong[~batch.found].mean()) / 2
    torch.testing.assert_close(loss, expected)


def test_a_batch_without_any_finding_has_a_loss(model: DualEncoder, batch: PlacedBatch) -> None:
    batch.found[:] = False
    with supervised(model, 0, CLASSES) as supervision, torch.no_grad():
        loss = supervision.loss(*embed(model, batch), model.logit_scale, batch)
    assert loss.isfinite()


def test_training_learns_the_places_and_forgets_the_layer(model: DualEncoder, batch: PlacedBatch) -> None:
    names = set(model.state_dict())
    recipe = Recipe(epochs=1, batch=4, learning_rate=1e-2, warmup_steps=1)
    with supervised(model, 0, CLASSES) as supervision:
        for _ in fit(model, [batch] * 60, recipe, 60, loss=supervision.loss):
            pass
        with torch.no_grad():
            embed(model, batch)
            assert supervision.tokens is not None
            said = supervision.head(F.layer_norm(supervision.tokens, supervision.tokens.shape[-1:])).argmax(-1)
    assert (said == batch.cells).float().mean() > 0.95
    assert set(model.state_dict()) == names
    assert not any(pair._forward_hooks for pair in model.image_encoder.blocks[0])
