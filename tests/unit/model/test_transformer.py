"""The text encoder without padding, beside what it is without that saving."""

from __future__ import annotations

import pytest
import torch

from dualsight.model.config import TextConfig
from dualsight.model.transformer import Batch, LayerNorm, QuickGeluMlp, TextTransformer

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
IDS = torch.tensor([[3, 5, 7, 5, 9], [3, 4, 9, 0, 0], [3, 9, 0, 0, 0]])  # 9 ends a text


def encoder(*, autoregressive: bool) -> TextTransformer:
    torch.manual_seed(0)
    config = TextConfig(width=8, heads=2, layers=2, context_length=6, vocabulary=10, autoregressive=autoregressive)
    return TextTransformer(config)


@pytest.mark.parametrize("autoregressive", [True, False])
def test_a_text_is_what_it_is_alone(autoregressive: bool) -> None:
    model = encoder(autoregressive=autoregressive)
    together = model(IDS, MASK)
    hidden = model.hidden_states(IDS, MASK)
    assert together.shape == (3, 8) and hidden.shape == (3, 5, 8)
    for row, length in enumerate(MASK.sum(1).tolist()):
        alone = model(IDS[row : row + 1, :length], MASK[row : row + 1, :length])
        torch.testing.assert_close(together[row], alone[0], atol=1e-6, rtol=0)
        torch.testing.assert_close(hidden[row, length - 1], alone[0], atol=1e-6, rtol=0)


def test_only_a_causal_mask_hides_what_follows() -> None:
    other = IDS.clone()
    other[0, 3] = 1
    for autoregressive in (True, False):
        model = encoder(autoregressive=autoregressive)
        before, after = (model.hidden_states(ids, MASK)[0, :3] for ids in (IDS, other))
        assert torch.equal(before, after) is autoregressive


def test_the_state_at_the_first_end_token_counts() -> None:
    model = encoder(autoregressive=True)
    twice = torch.tensor([[3, 9, 5, 9]])
    torch.testing.assert_close(model(twice, torch.ones_like(twice)), model(twice[:, :2], torch.ones(1, 2)))


def test_rows_go_to_their_places_and_come_back() -> None:
    places = MASK.flatten().nonzero().squeeze(1)
    batch = Batch(places, (3, 5), MASK.bool())
    rows = torch.randn(len(places), 4, dtype=torch.float64)
    whole = batch.spread(rows)
    assert whole.shape == (3, 5, 4) and whole.dtype == rows.dtype
    assert not whole[~MASK.bool()].any()
    assert torch.equal(batch.gather(whole), rows)


def test_normalisation_is_in_float32_with_a_tiny_eps() -> None:
    norm = LayerNorm(3)
    small = torch.tensor([[1e-4, 2e-4, 3e-4]])
    torch.testing.assert_close(norm(small), torch.tensor([[-(1.5**0.5), 0, 1.5**0.5]]), atol=1e-3, rtol=0)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1, 2, 3]))
        norm.bias.copy_(torch.tensor([0, 0, 5]))
    expected = torch.tensor([[-(1.5**0.5), 0, 3 * 1.5**0.5 + 5]])
    torch.testing.assert_close(norm(torch.tensor([[1.0, 2, 3]])), expected, atol=1e-5, rtol=0)


def test_quick_gelu() -> None:
    torch.manual_seed(0)
    mlp, tokens = QuickGeluMlp(3), torch.randn(2, 3)
    assert mlp.c_fc.out_features == 12
    hidden = mlp.c_fc(tokens)
    expected = mlp.c_proj(hidden / (1 + torch.exp(-1.702 * hidden)))
    torch.testing.assert_close(mlp(tokens), expected, atol=1e-6, rtol=0)
