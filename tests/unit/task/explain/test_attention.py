"""Weights written out must do what the encoder's own attention does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dualsight.errors import ConfigError
from dualsight.model.config import CoSwinConfig
from dualsight.model.coswin import SwinBlock
from dualsight.model.davit import WindowAttention
from dualsight.task.explain.attention import attention, shifted_window_weights, window_weights
from dualsight.task.model import Model


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 63), st.booleans())
def test_window_weights_are_those_of_the_layer(height: int, width: int, place: int, bias: bool) -> None:
    torch.manual_seed(place)
    layer = WindowAttention(8, 2, 3, qkv_bias=bias, scale=0.7)
    tokens = torch.randn(1, height * width, 8)
    at = divmod(place % (height * width), width)
    with torch.no_grad():
        weights, padding = window_weights(layer, tokens, (height, width), at)
        values = layer.qkv(tokens)[0].unflatten(-1, (3, 2, 4))[:, 2]  # [N, h, d]
        pad = layer.qkv.bias.view(3, 2, 4)[2] if bias else torch.zeros(2, 4)
        mixed = torch.einsum("hn,nhd->hd", weights.flatten(1), values) + padding[:, None] * pad
        expected = layer(tokens, (height, width))[0].unflatten(0, (height, width))[at]
        torch.testing.assert_close(layer.proj(mixed.flatten()), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(weights.sum((1, 2)) + padding, torch.ones(2))


@pytest.mark.parametrize("index", [0, 1], ids=["straight", "shifted"])
@pytest.mark.parametrize("at", [(0, 0), (2, 5), (7, 7), (4, 3)])
def test_shifted_window_weights_are_those_of_the_block(index: int, at: tuple[int, int]) -> None:
    torch.manual_seed(1)
    config = CoSwinConfig(image_size=(32, 32), width=8, depths=(2,), heads=(2,), window=4)
    block = SwinBlock(config, 0, index, 0.0).eval()
    torch.nn.init.normal_(block.attn.relative_position_bias_table)
    assert (block.shift > 0) == (index == 1)
    tokens = torch.randn(1, 64, 8)
    with torch.no_grad():
        weights = shifted_window_weights(block, tokens, (8, 8), at)
        values = block.attn.qkv(tokens)[0].unflatten(-1, (3, 2, 4))[:, 2]
        mixed = torch.einsum("hn,nhd->hd", weights.flatten(1), values).flatten()
        expected = block._attention(tokens, (8, 8))[0].unflatten(0, (8, 8))[at]
        torch.testing.assert_close(block.attn.proj(mixed), expected, atol=1e-5, rtol=0)


def test_every_stage_is_shown(model: Model, pixels: NDArray) -> None:
    stages = attention(model, pixels, at=(0.9, 0.1))
    config = model.config.dual.image
    assert [stage.stage for stage in stages] == list(range(1, len(config.depths) + 1))
    for stage, heads, width in zip(stages, config.heads, config.widths, strict=True):
        assert stage.window.shape == (heads, *stage.grid) and (stage.window >= 0).all()
        np.testing.assert_allclose(stage.window.sum((1, 2)) + stage.padding, 1, atol=1e-5)
        row, column = stage.token
        assert (stage.window[:, row, column] > 0).all()
        assert column >= row
        assert (stage.groups is None) == isinstance(config, CoSwinConfig)
        assert stage.groups is None or (stage.groups.shape[1:] == stage.grid and width % len(stage.groups) == 0)


@pytest.mark.parametrize("at", [(-0.1, 0.5), (0.5, 1.01), (float("nan"), 0.5)])
def test_no_place_outside_the_picture(model: Model, pixels: NDArray, at: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="no place at"):
        attention(model, pixels, at)
