"""DaViT: dual attention vision transformer (Ding et al., arXiv 2204.03645), the image encoder of MedImageInsight.

B batch, H W grid, N = H·W tokens, C width, h heads, G groups, d = C/h, c = C/G, S window.

    pixels [B, 3, 480, 480]
      → ConvEmbed → (SpatialBlock → ChannelBlock) × depth      stage 1   [B, 120², 256]
      → ConvEmbed → …                                          stage 2   [B, 60², 512]
      → ConvEmbed → … × 9                                      stage 3   [B, 30², 1024]
      → ConvEmbed → …                                          stage 4   [B, 15², 2048]
      → mean over tokens → LayerNorm → features [B, 2048]

A spatial block mixes tokens within windows, a channel block mixes channels over all tokens. Attribute
names are the official checkpoint's.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualsight.model.config import ChannelScale, DaViTConfig
from dualsight.model.layers import ConvEmbed, DropPath, Grid, Mlp, Stage, drop_path_rates, to_map, to_tokens
from dualsight.model.windows import from_windows, regions, to_windows


class WindowAttention(nn.Module):
    """Multi-head attention among the tokens of one window, without position bias.

    The reference pads the normalised grid with zeros to whole windows and lets padding be attended to:
    its keys and values are then just the qkv bias. Nothing is computed for padding here. In a window that
    lacks P tokens one further key stands for all P, its logit raised by log P, which is the same softmax.
    """

    def __init__(self, width: int, heads: int, window: int, *, qkv_bias: bool, scale: float) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.scale = scale
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, H·W, C] → [B, H·W, C]."""
        qkv = self.qkv(tokens).unflatten(1, grid)  # [B, H, W, 3·C]
        mixed = [
            torch.cat([self._attend(qkv[:, rows, columns], h, w) for rows, columns, h, w in across], dim=2)
            for across in regions(grid, self.window)
        ]
        return self.proj(torch.cat(mixed, dim=1).flatten(1, 2))

    def _attend(self, qkv: Tensor, height: int, width: int) -> Tensor:
        """Attention in each height × width window of a rectangle: [B, H, W, 3·C] → [B, H, W, C]."""
        grid = (qkv.shape[1], qkv.shape[2])
        q, k, v = self._heads(to_windows(qkv, height, width))  # each [windows, h, height·width, d]
        missing = self.window**2 - height * width
        mask = None
        if missing:
            k, v = (
                torch.cat([real, pad.expand(real.shape[0], -1, -1, -1)], 2)
                for real, pad in zip((k, v), self._padding(qkv), strict=True)
            )
            mask = F.pad(q.new_zeros(1, height * width), (0, 1), value=math.log(missing))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self.scale)
        return from_windows(mixed.transpose(1, 2).flatten(2), height, width, grid)

    def _heads(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[windows, n, 3·C] → q, k, v of [windows, h, n, d]."""
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def _padding(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Key and value of a padded token, each [1, h, 1, d]: what a zero token gives."""
        _, k, v = self._heads(self.padded.to(like.dtype)[None, None])
        return k, v

    @property
    def padded(self) -> Tensor:
        """What `qkv` makes of a padded token, [3·C]."""
        bias = self.qkv.bias
        if bias is None:  # pyright: ignore[reportUnnecessaryComparison]  # torch's types forget Linear(bias=False)
            bias = self.qkv.weight.new_zeros(self.qkv.out_features)
        return bias


class ChannelAttention(nn.Module):
    """Attention among channels: each of c channels of a group is a token of length N (arXiv 2204.03645, §3.3)."""

    def __init__(self, width: int, groups: int, *, qkv_bias: bool, scale: ChannelScale, gain: float) -> None:
        super().__init__()
        self.groups = groups
        self.gain = gain  # after the softmax; 1 but for muP
        self.fixed_scale = {"tokens": None, "width": width**-0.5, "group": (width // groups) ** -0.5}[scale]
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, N, C] → [B, N, C]."""
        return self.proj(self.mix(tokens).transpose(1, 2).flatten(2))

    def mix(self, tokens: Tensor) -> Tensor:
        """[B, N, C] → [B, G, N, c]: what each group makes of its channels, before the groups meet in `proj`."""
        qkv = self.qkv(tokens).unflatten(-1, (3, self.groups, -1))  # [B, N, 3, G, c]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, G, N, c]
        scale = self.fixed_scale or tokens.shape[1] ** -0.5
        attention = (q.transpose(-2, -1) @ k * scale).softmax(-1)  # [B, G, c, c]
        if self.gain != 1.0:
            attention = attention * self.gain
        return v @ attention.transpose(-2, -1)  # [B, G, N, c]


class DepthwiseConv(nn.Module):
    """A 3×3 convolution of each channel with itself: where a token is, told by its neighbours."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dw = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, H·W, C] → [B, H·W, C]."""
        return to_tokens(self.dw(to_map(tokens, grid)))


class FeedForward(nn.Module):
    """The MLP under the name that the checkpoint gives it."""

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        self.net = Mlp(width, int(width * ratio))

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, N, C] → [B, N, C]."""
        return self.net(tokens)


class Residual(nn.Module):
    """tokens + fn(norm(tokens)); without a norm tokens + fn(tokens)."""

    def __init__(self, fn: nn.Module, *, norm: nn.Module | None = None, drop_path: float = 0.0) -> None:
        super().__init__()
        if norm is not None:
            self.norm = norm
        self.has_norm = norm is not None
        self.fn = fn
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, N, C] → [B, N, C]."""
        branch = self.norm(tokens) if self.has_norm else tokens
        return tokens + self.drop_path(self.fn(branch, grid))


def _local(width: int, wanted: bool) -> nn.Module:
    return Residual(DepthwiseConv(width)) if wanted else _Pass()


class _Pass(nn.Module):
    """Stands where a configuration leaves the depthwise convolution out."""

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        return tokens


class SpatialBlock(nn.Module):
    """Tokens of a window attend to one another."""

    def __init__(self, config: DaViTConfig, stage: int, drop_path: float) -> None:
        super().__init__()
        width, heads = config.widths[stage], config.heads[stage]
        attention = WindowAttention(
            width, heads, config.window, qkv_bias=config.qkv_bias, scale=_window_scale(config, stage)
        )
        self.conv1 = _local(width, config.conv_at_attn)
        self.window_attn = Residual(attention, norm=nn.LayerNorm(width), drop_path=drop_path)
        self.conv2 = _local(width, config.conv_at_ffn)
        self.ffn = Residual(FeedForward(width, config.mlp_ratio), norm=nn.LayerNorm(width), drop_path=drop_path)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, H·W, C] → [B, H·W, C]."""
        tokens = self.conv1(tokens, grid)
        tokens = self.window_attn(tokens, grid)
        tokens = self.conv2(tokens, grid)
        return self.ffn(tokens, grid)


class ChannelBlock(nn.Module):
    """Channels of a group attend to one another."""

    def __init__(self, config: DaViTConfig, stage: int, drop_path: float) -> None:
        super().__init__()
        width, groups = config.widths[stage], config.groups[stage]
        attention = ChannelAttention(
            width,
            groups,
            qkv_bias=config.qkv_bias,
            scale=config.channel_scale,
            gain=_channel_gain(config, stage),
        )
        self.conv1 = _local(width, config.conv_at_attn)
        self.channel_attn = Residual(attention, norm=nn.LayerNorm(width), drop_path=drop_path)
        self.conv2 = _local(width, config.conv_at_ffn)
        self.ffn = Residual(FeedForward(width, config.mlp_ratio), norm=nn.LayerNorm(width), drop_path=drop_path)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, H·W, C] → [B, H·W, C]."""
        tokens = self.conv1(tokens, grid)
        tokens = self.channel_attn(tokens, grid)
        tokens = self.conv2(tokens, grid)
        return self.ffn(tokens, grid)


def _window_scale(config: DaViTConfig, stage: int) -> float:
    head_dim = config.widths[stage] // config.heads[stage]
    if config.mup is None:
        return float(head_dim**-0.5)
    base = config.mup.widths[stage] // config.mup.heads[stage]
    return float(base**-0.5 / (head_dim / base))


def _channel_gain(config: DaViTConfig, stage: int) -> float:
    if config.mup is None:
        return 1.0
    group_dim = config.widths[stage] // config.groups[stage]
    return (config.mup.widths[stage] // config.mup.groups[stage]) / group_dim


class Pair(nn.Module):
    """A spatial block, then a channel block."""

    def __init__(self, config: DaViTConfig, stage: int, drop_paths: tuple[float, float]) -> None:
        super().__init__()
        self.spatial_block = SpatialBlock(config, stage, drop_paths[0])
        self.channel_block = ChannelBlock(config, stage, drop_paths[1])

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, H·W, C] → [B, H·W, C]."""
        return self.channel_block(self.spatial_block(tokens, grid), grid)


class DaViT(nn.Module):
    """The whole encoder: pixels [B, 3, H, W], normalised, to features [B, C], or to logits with a head."""

    def __init__(self, config: DaViTConfig) -> None:
        super().__init__()
        self.config = config
        rate = drop_path_rates(config.drop_path_rate, 2 * sum(config.depths))
        widths_in = (3, *config.widths[:-1])
        self.convs = nn.ModuleList(
            ConvEmbed(
                widths_in[i],
                config.widths[i],
                kernel=config.patch_size[i],
                stride=config.patch_stride[i],
                padding=config.patch_padding[i],
                prenorm=config.patch_prenorm[i],
            )
            for i in range(len(config.widths))
        )
        self.blocks = nn.ModuleList()
        done = 0
        for i, depth in enumerate(config.depths):
            rates = [(rate(done + 2 * j), rate(done + 2 * j + 1)) for j in range(depth)]
            self.blocks.append(nn.ModuleList(Pair(config, i, pair) for pair in rates))
            done += 2 * depth
        self.norms = nn.LayerNorm(config.feature_width)
        self.head: nn.Module = (
            nn.Linear(config.feature_width, config.num_classes) if config.num_classes else nn.Identity()
        )

    def stages(self, pixels: Tensor) -> list[Stage]:
        """Every stage's tokens, first to last."""
        stages: list[Stage] = []
        feature_map = pixels
        for conv, pairs in zip(self.convs, self.blocks, strict=True):
            embedded, grid = conv(feature_map)
            tokens = embedded
            for pair in cast(nn.ModuleList, pairs):
                tokens = pair(tokens, grid)
            stages.append(Stage(embedded, tokens, grid))
            feature_map = to_map(tokens, grid)
        return stages

    def pool(self, tokens: Tensor) -> Tensor:
        """Last tokens [B, N, C] → features [B, C]."""
        return self.norms(tokens.mean(1))

    def features(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] → [B, C]."""
        return self.pool(self.stages(pixels)[-1].tokens)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] → features [B, C], or logits [B, classes] where there is a head."""
        return self.head(self.features(pixels))
