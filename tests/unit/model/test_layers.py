"""Parts of encoders, by hand: what the goldens show only together, or not at all, such as training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dualsight.model.layers import ConvEmbed, DropPath, Mlp, drop_path_rates, to_map, to_tokens


def test_tokens_run_across_then_down() -> None:
    tokens = torch.arange(2 * 6 * 4).reshape(2, 6, 4)
    feature_map = to_map(tokens, (2, 3))
    assert feature_map.shape == (2, 4, 2, 3)
    assert torch.equal(feature_map[1, :, 1, 0], tokens[1, 3])
    assert torch.equal(to_tokens(feature_map), tokens)


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    branch = torch.ones(4_000, 3, 2)
    dropped = DropPath(0.25).train()(branch)
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(dropped))  # a sample is dropped as a whole
    assert float((dropped[:, 0, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.03)  # four standard errors


def test_stochastic_depth_leaves_the_branch_alone_where_it_should() -> None:
    branch = torch.ones(8, 3, 2)
    assert DropPath(0.5).eval()(branch) is branch
    assert DropPath(0.0).train()(branch) is branch
    half = DropPath(0.5).train()(torch.ones(8, 3, 2, dtype=torch.bfloat16))
    assert half.dtype == torch.bfloat16
    assert DropPath(0.5).train()(torch.ones(8, 3, 2, device="meta")).device.type == "meta"


def test_stochastic_depth_grows_with_the_depth() -> None:
    rate = drop_path_rates(0.2, 5)
    assert [rate(block) for block in range(5)] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert drop_path_rates(0.2, 1)(0) == 0
    assert drop_path_rates(0.2, 2)(1) == pytest.approx(0.2)


def test_the_mlp_has_the_exact_gelu() -> None:
    torch.manual_seed(0)
    mlp, tokens = Mlp(4, 6), torch.randn(2, 3, 4)
    hidden = tokens @ mlp.fc1.weight.T + mlp.fc1.bias
    hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
    torch.testing.assert_close(mlp(tokens), hidden @ mlp.fc2.weight.T + mlp.fc2.bias, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("kernel", "padding", "grid"), [(2, 0, (3, 4)), (4, 0, (3, 3)), (3, 1, (3, 4)), (3, 0, (2, 3))]
)
def test_an_even_kernel_pads_a_ragged_edge(kernel: int, padding: int, grid: tuple[int, int]) -> None:
    torch.manual_seed(0)
    embed = ConvEmbed(3, 4, kernel=kernel, stride=2, padding=padding, prenorm=False, norm=False)
    pixels = torch.randn(1, 3, 5, 7)
    tokens, found = embed(pixels)
    assert found == grid
    whole = F.pad(pixels, {2: (0, 1, 0, 1), 4: (0, 1, 0, 3)}.get(kernel, (0, 0)))
    torch.testing.assert_close(tokens, to_tokens(embed.proj(whole)), atol=0, rtol=0)


def test_the_norm_stands_before_or_after_the_convolution() -> None:
    torch.manual_seed(0)
    pixels = torch.randn(1, 3, 4, 4)
    after = ConvEmbed(3, 8, kernel=2, stride=2, padding=0, prenorm=False)
    torch.testing.assert_close(after(pixels)[0], F.layer_norm(to_tokens(after.proj(pixels)), (8,)), atol=1e-6, rtol=0)
    before = ConvEmbed(3, 8, kernel=2, stride=2, padding=0, prenorm=True)
    normed = to_map(F.layer_norm(to_tokens(pixels), (3,)), (4, 4))
    torch.testing.assert_close(before(pixels)[0], to_tokens(before.proj(normed)), atol=1e-6, rtol=0)
