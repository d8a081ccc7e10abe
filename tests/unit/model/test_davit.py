"""What the goldens cannot show: padding as the reference does it, written out; presets; training mode."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F

from dualsight.errors import ConfigError, NoSuchPreset
from dualsight.model.config import PRESETS, CoSwinConfig, DaViTConfig, DualConfig, preset
from dualsight.model.davit import ChannelAttention, DaViT, WindowAttention
from dualsight.model.dual import DualEncoder, image_encoder
from dualsight.model.windows import from_windows, to_windows
from golden import HERE

SMALL = DaViTConfig(widths=(8, 16), depths=(1, 1), heads=(2, 2), groups=(2, 2), patch_size=(4, 2), patch_stride=(4, 2),
                    patch_padding=(0, 0), patch_prenorm=(False, True), window=3, drop_path_rate=0.5)  # fmt: skip


def padded_attention(layer: WindowAttention, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """The reference's way: zeros to whole windows, everything computed, then cropped."""
    s = layer.window
    square = F.pad(tokens.unflatten(1, grid), (0, 0, 0, -grid[1] % s, 0, -grid[0] % s))
    windows = to_windows(square, s, s)
    q, k, v = layer.qkv(windows).unflatten(-1, (3, layer.heads, -1)).permute(2, 0, 3, 1, 4)
    mixed = (q @ k.transpose(-2, -1) * layer.scale).softmax(-1) @ v
    out = layer.proj(mixed.transpose(1, 2).flatten(2))
    return from_windows(out, s, s, (square.shape[1], square.shape[2]))[:, : grid[0], : grid[1]].flatten(1, 2)


@pytest.mark.parametrize("grid", [(6, 6), (7, 5), (2, 9), (1, 1), (4, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_window_attention_equals_padding_written_out(grid: tuple[int, int], bias: bool) -> None:
    torch.manual_seed(0)
    layer = WindowAttention(8, 2, 3, qkv_bias=bias, scale=0.7)
    tokens = torch.randn(2, grid[0] * grid[1], 8)
    torch.testing.assert_close(layer(tokens, grid), padded_attention(layer, tokens, grid), atol=1e-6, rtol=0)


def test_channel_attention_is_its_formula() -> None:
    torch.manual_seed(0)
    layer = ChannelAttention(8, 2, qkv_bias=True, scale="tokens", gain=0.5)
    tokens = torch.randn(1, 10, 8)
    q, k, v = layer.qkv(tokens)[0].split(8, dim=-1)  # each [10, 8]
    groups = []
    for g in (slice(0, 4), slice(4, 8)):
        a = ((q[:, g] * 10**-0.5).T @ k[:, g]).softmax(-1) * 0.5
        groups.append((a @ v[:, g].T).T)
    torch.testing.assert_close(layer(tokens, (2, 5)), layer.proj(torch.cat(groups, -1))[None], atol=1e-6, rtol=0)


def test_parameters_of_the_published_models() -> None:
    published = json.loads((HERE / "timm-davit" / "models.json").read_text())
    for name in ("tiny", "small", "base", "large", "huge", "giant"):
        config = PRESETS[f"davit-{name}"]
        assert isinstance(config, DaViTConfig)
        with torch.device("meta"):
            encoder = DaViT(config)
        assert sum(p.numel() for p in encoder.parameters()) == published[f"davit_{name}"]["params"]


def test_medimageinsight_has_the_official_keys() -> None:
    config = preset("medimageinsight")
    assert isinstance(config, DualConfig)
    with torch.device("meta"):
        model = DualEncoder(config)
    shapes = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    assert shapes == json.loads((HERE / "official-size" / "keys.json").read_text())
    assert sum(p.numel() for p in model.parameters()) == 615_996_417


def test_an_unknown_preset_offers_a_near_name() -> None:
    with pytest.raises(NoSuchPreset) as caught:
        preset("davit-hug")
    assert "davit-huge" in caught.value.hint


def test_a_head_gives_logits() -> None:
    config = preset("davit-tiny")
    assert isinstance(config, DaViTConfig)
    with torch.device("meta"):
        logits = DaViT(config)(torch.empty(2, 3, 64, 64))
    assert logits.shape == (2, 1000)


def test_stochastic_depth_acts_in_training_only() -> None:
    torch.manual_seed(0)
    encoder = image_encoder(SMALL).eval()
    pixels = torch.randn(2, 3, 16, 16)
    assert torch.equal(encoder(pixels), encoder(pixels))
    encoder.train()
    assert not torch.equal(encoder(pixels), encoder(pixels))


def test_stochastic_depth_grows_from_block_to_block_and_spares_the_convolutions() -> None:
    blocks = [block for stage in DaViT(SMALL).blocks for pair in stage for block in pair.children()]
    attentions = [
        getattr(block, name) for block in blocks for name in ("window_attn", "channel_attn") if hasattr(block, name)
    ]
    expected = pytest.approx([0, 0.5 / 3, 1 / 3, 0.5])  # of two pairs
    assert [branch.drop_path.rate for branch in attentions] == expected
    assert [block.ffn.drop_path.rate for block in blocks] == expected
    assert {branch.drop_path.rate for block in blocks for branch in (block.conv1, block.conv2)} == {0.0}


def test_gradients_reach_every_parameter() -> None:
    encoder = image_encoder(SMALL).eval()
    encoder(torch.randn(1, 3, 20, 12)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in encoder.parameters())


def test_impossible_configurations() -> None:
    with pytest.raises(ConfigError, match="stage 2: width 16 is not a multiple of 3 heads"):
        DaViTConfig(widths=(8, 16), depths=(1, 1), heads=(2, 3), groups=(2, 2), patch_size=(7, 3),
                    patch_stride=(4, 2), patch_padding=(3, 1), patch_prenorm=(False, True))  # fmt: skip
    with pytest.raises(ConfigError, match="depths has 1 values for 4 stages"):
        DaViTConfig(widths=(8, 16, 32, 64), depths=(1,), heads=(1,) * 4, groups=(1,) * 4)
    with pytest.raises(ConfigError, match=r"grid of .* is not a multiple of the window 7"):
        CoSwinConfig(image_size=(96, 96), width=16, depths=(2, 2, 2, 2), heads=(1, 1, 1, 1), window=7)
