"""A dual encoder as it is made, before any checkpoint: how its weights are drawn, and where."""

from __future__ import annotations

import pytest
import torch

from dualsight.model.config import DaViTConfig, DualConfig, TextConfig
from dualsight.model.dual import DualEncoder

CONFIG = DualConfig(
    image=DaViTConfig(widths=(8, 64), depths=(1, 1), heads=(2, 2), groups=(2, 2), patch_size=(4, 2),
                      patch_stride=(4, 2), patch_padding=(0, 0), patch_prenorm=(False, True), window=3),
    text=TextConfig(width=64, heads=4, layers=2, context_length=40, vocabulary=500),
    projection=128,
    image_size=(16, 16),
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(CONFIG)


def test_weights_are_drawn_as_clips_are(model: DualEncoder) -> None:
    text = model.lang_encoder
    for drawn, std in (
        (model.image_projection, 0.02),
        (model.lang_projection, 0.02),
        (text.token_embedding.weight, 0.02),
        (text.positional_embedding, 0.01),
    ):
        assert drawn.detach().std().item() == pytest.approx(std, rel=0.05)  # of 2,560 numbers or more
        assert abs(drawn.detach().mean().item()) < std / 10
    assert model.logit_scale.exp().item() == pytest.approx(1 / 0.07)
    for block in text.resblocks:
        bound = (6 / (3 * 64 + 64)) ** 0.5  # Glorot's, of the three matrices as one
        assert 0.98 * bound < block.attn.in_proj_weight.abs().max().item() <= bound
        assert not block.attn.in_proj_bias.any()
        assert bool((block.ln_1.weight == 1).all()) and not block.ln_1.bias.any()


def test_a_new_model_is_in_evaluation_mode(model: DualEncoder) -> None:
    assert not any(module.training for module in model.modules())


def test_embeddings_are_of_unit_length_and_logits_their_scaled_cosines(model: DualEncoder) -> None:
    torch.manual_seed(1)
    pixels, ids, mask = torch.randn(3, 3, 16, 16), torch.randint(500, (2, 7)), torch.ones(2, 7, dtype=torch.int64)
    with torch.inference_mode():
        images, texts = model.encode_image(pixels), model.encode_text(ids, mask)
        logits = model(pixels, ids, mask)
    assert images.shape == (3, 128) and texts.shape == (2, 128)
    for rows in (images, texts):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    torch.testing.assert_close(logits, images @ texts.T / 0.07, atol=1e-5, rtol=0)


def test_everything_is_made_where_the_inputs_are() -> None:
    with torch.device("meta"):
        model = DualEncoder(CONFIG)
    ids = torch.empty(2, 7, dtype=torch.int64, device="meta")
    for autoregressive in (True, False):
        model.lang_encoder.config = TextConfig(width=64, heads=4, layers=2, autoregressive=autoregressive)
        hidden = model.lang_encoder.hidden_states(ids, torch.ones_like(ids))
        assert hidden.device.type == "meta" and hidden.shape == (2, 7, 64)
