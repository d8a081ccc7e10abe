"""CoSwin: Swin (Liu et al., arXiv 2103.14030) with convolutional embeddings between its stages.

B batch, H W grid, C width, h heads, S window, n = S² tokens a window. Attribute names are the checkpoint's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualsight.model.config import CoSwinConfig
from dualsight.model.layers import ConvEmbed, DropPath, Grid, Mlp, Stage, drop_path_rates, to_map
from dualsight.model.windows import from_windows, to_windows


def relative_positions(window: int) -> Tensor:
    """Row of the bias table for each (query, key) of a window: int64 [S²·S²]."""
    side = torch.arange(window)
    offset = side[:, None] - side[None, :] + window - 1  # [S, S]: query minus key, from 0
    rows, columns = offset[:, None, :, None], offset[None, :, None, :]  # [S, 1, S, 1], [1, S, 1, S]
    return (rows * (2 * window - 1) + columns).flatten()


def shift_mask(grid: Grid, window: int, shift: int) -> Tensor:
    """Additive mask after a cyclic shift: −100 between tokens that are no neighbours in the picture.

    float32 [windows, n, n]; the reference's finite −100 is kept, so that its outputs are.
    """
    region = torch.zeros(1, *grid, 1)
    cuts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for i, rows in enumerate(cuts):
        for j, columns in enumerate(cuts):
            region[:, rows, columns] = 3 * i + j
    labels = to_windows(region, window, window).squeeze(-1)  # [windows, n]
    return (labels[:, None, :] != labels[:, :, None]).float() * -100.0


class ShiftedWindowAttention(nn.Module):
    """Multi-head attention within windows, with a learnt bias for each relative position."""

    def __init__(self, width: int, heads: int, window: int, *, qkv_bias: bool, scale: float) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.scale = scale
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """[B·windows, n, C] → the same; mask [windows, n, n] or None."""
        n = windows.shape[1]
        q, k, v = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [B·w, h, n, d]
        index = relative_positions(self.window).to(windows.device)
        bias = self.relative_position_bias_table[index].unflatten(0, (n, n)).permute(2, 0, 1)  # [h, n, n]
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(windows.shape[0] // mask.shape[0], 1, 1, 1)  # [B·w, h, n, n]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=self.scale)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class SwinBlock(nn.Module):
    """Attention within windows, shifted in every second block, then an MLP."""

    def __init__(self, config: CoSwinConfig, stage: int, index: int, drop_path: float) -> None:
        super().__init__()
        width, heads = config.widths[stage], config.heads[stage]
        self.window = config.stage_window(stage)
        whole = min(config.grids[stage]) <= config.window  # one window covers the grid: nothing to shift
        self.shift = 0 if whole or index % 2 == 0 else self.window // 2
        scale = config.qk_scale or (width // heads) ** -0.5
        self.norm1 = nn.LayerNorm(width)
        self.attn = ShiftedWindowAttention(width, heads, self.window, qkv_bias=config.qkv_bias, scale=scale)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, int(width * config.mlp_ratio))
        self.gamma = nn.Parameter(torch.ones(width)) if config.layer_scale else None
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, H·W, C] → [B, H·W, C]."""
        tokens = tokens + self._branch(self._attention(self.norm1(tokens), grid))
        return tokens + self._branch(self.mlp(self.norm2(tokens)))

    def _branch(self, branch: Tensor) -> Tensor:
        return self.drop_path(branch if self.gamma is None else self.gamma * branch)

    def _attention(self, tokens: Tensor, grid: Grid) -> Tensor:
        square, mask = tokens.unflatten(1, grid), None  # [B, H, W, C]
        if self.shift:
            square = square.roll((-self.shift, -self.shift), (1, 2))
            mask = shift_mask(grid, self.window, self.shift).to(tokens.device)
        windows = self.attn(to_windows(square, self.window, self.window), mask)
        square = from_windows(windows, self.window, self.window, grid)
        if self.shift:
            square = square.roll((self.shift, self.shift), (1, 2))
        return square.flatten(1, 2)


class SwinStage(nn.Module):
    """Blocks of one width, then (but for the last stage) the convolution to the next."""

    def __init__(self, config: CoSwinConfig, stage: int, drop_paths: list[float]) -> None:
        super().__init__()
        width = config.widths[stage]
        self.blocks = nn.ModuleList(SwinBlock(config, stage, j, rate) for j, rate in enumerate(drop_paths))
        last = stage == len(config.depths) - 1
        self.downsample = None if last else ConvEmbed(width, 2 * width, kernel=3, stride=2, padding=1, prenorm=False)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, H·W, C] → [B, H·W, C], through the blocks alone."""
        for block in self.blocks:
            tokens = block(tokens, grid)
        return tokens


class CoSwin(nn.Module):
    """The whole encoder: pixels [B, 3, H, W] of the configured size to features [B, C]."""

    def __init__(self, config: CoSwinConfig) -> None:
        super().__init__()
        self.config = config
        rate = drop_path_rates(config.drop_path_rate, sum(config.depths))
        self.patch_embed = ConvEmbed(
            3,
            config.width,
            kernel=config.patch_size,
            stride=4,
            padding=config.patch_padding,
            prenorm=False,
            norm=config.patch_norm,
        )
        height, width = config.grids[0]
        self.absolute_pos_embed = (
            nn.Parameter(torch.zeros(1, height * width, config.width)) if config.absolute_position else None
        )
        starts = [sum(config.depths[:i]) for i in range(len(config.depths))]
        self.layers = nn.ModuleList(
            SwinStage(config, i, [rate(start + j) for j in range(config.depths[i])]) for i, start in enumerate(starts)
        )
        self.norm = nn.LayerNorm(config.feature_width)
        self.head: nn.Module = (
            nn.Linear(config.feature_width, config.num_classes) if config.num_classes else nn.Identity()
        )

    def stages(self, pixels: Tensor) -> list[Stage]:
        """Every stage's tokens, first to last."""
        stages: list[Stage] = []
        embedded, grid = self.patch_embed(pixels)
        if self.absolute_pos_embed is not None:
            embedded = embedded + self.absolute_pos_embed
        for stage in cast(Iterable[SwinStage], self.layers):
            tokens = stage(embedded, grid)
            stages.append(Stage(embedded, tokens, grid))
            if stage.downsample is not None:
                embedded, grid = stage.downsample(to_map(tokens, grid))
        return stages

    def pool(self, tokens: Tensor) -> Tensor:
        """Last tokens [B, N, C] → features [B, C]: each token is normalised, then the mean is taken."""
        return self.norm(tokens).mean(1)

    def features(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] → [B, C]."""
        return self.pool(self.stages(pixels)[-1].tokens)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] → features [B, C], or logits [B, classes] where there is a head."""
        return self.head(self.features(pixels))
