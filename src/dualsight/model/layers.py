"""Parts that more than one encoder is made of.

B batch, H W grid, N = H·W tokens, C width. Tokens are [B, N, C] and their grid (H, W) goes with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualsight.model.config import ragged

Grid = tuple[int, int]


class Stage(NamedTuple):
    """What one stage made: tokens at its entry and at its end, both [B, H·W, C], and their grid (H, W)."""

    embedded: Tensor
    tokens: Tensor
    grid: Grid


def to_map(tokens: Tensor, grid: Grid) -> Tensor:
    """[B, H·W, C] → [B, C, H, W], a view in channels-last memory."""
    return tokens.unflatten(1, grid).permute(0, 3, 1, 2)


def to_tokens(feature_map: Tensor) -> Tensor:
    """[B, C, H, W] → [B, H·W, C]."""
    return feature_map.permute(0, 2, 3, 1).flatten(1, 2)


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): in training, a sample's branch is left out with probability `rate`."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """[B, …] → the same; itself in evaluation mode."""
        if not self.training or self.rate == 0.0:
            return branch
        shape = (branch.shape[0],) + (1,) * (branch.ndim - 1)
        kept = torch.rand(shape, device=branch.device, dtype=branch.dtype) >= self.rate
        return branch * kept / (1.0 - self.rate)


class Mlp(nn.Module):
    """fc2(GELU(fc1(x))), with the exact GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[…, C] → […, C]."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class ConvEmbed(nn.Module):
    """A strided convolution that makes a grid of tokens from pixels, or a coarser grid from a finer one.

    LayerNorm on what comes in (`prenorm`), on what goes out, or nowhere (`norm=False`).
    """

    def __init__(
        self,
        width_in: int,
        width: int,
        *,
        kernel: int,
        stride: int,
        padding: int,
        prenorm: bool,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(width_in, width, kernel, stride=stride, padding=padding)
        self.prenorm = prenorm
        self.norm: nn.Module = nn.LayerNorm(width_in if prenorm else width) if norm else nn.Identity()

    def forward(self, feature_map: Tensor) -> tuple[Tensor, Grid]:
        """[B, C, H, W] → tokens [B, H'·W', C'] and their grid. An even kernel pads a ragged edge with zeros."""
        if self.prenorm:
            feature_map = self.norm(feature_map.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        kernel = self.proj.kernel_size[0]
        below, right = (ragged(side, kernel) for side in feature_map.shape[-2:])
        if below or right:
            feature_map = F.pad(feature_map, (0, right, 0, below))
        feature_map = self.proj(feature_map)
        grid = (feature_map.shape[-2], feature_map.shape[-1])
        tokens = to_tokens(feature_map)
        return (tokens if self.prenorm else self.norm(tokens)), grid


def drop_path_rates(last: float, blocks: int) -> Callable[[int], float]:
    """Stochastic depth grows linearly from 0 at the first block to `last` at the last."""
    return lambda block: last * block / max(blocks - 1, 1)
