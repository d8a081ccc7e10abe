"""What `dualsight.engine.kernels` computes, in plain torch: the module's own words, and nothing fused."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dualsight.engine.fused import Channels, Local, Norm, Stem, Windows
from dualsight.model.layers import Grid


def patches(pixels: Tensor, scale: Tensor, shift: Tensor, stem: Stem, out: Tensor) -> None:
    normal = (pixels.float() * scale + shift).permute(0, 3, 1, 2)
    down, across = (-side % stem.kernel if stem.kernel % 2 == 0 else 0 for side in normal.shape[-2:])
    rows = F.unfold(F.pad(normal, (0, across, 0, down)), stem.kernel, padding=stem.padding, stride=stem.stride)
    rows = rows.unflatten(1, (3, -1)).transpose(1, 2).flatten(1, 2).transpose(1, 2).flatten(0, 1)
    rows = F.pad(rows, (0, stem.columns - rows.shape[1]))
    rounded = rows.to(out.dtype)
    out.copy_(torch.cat([rounded, (rows - rounded).to(out.dtype), rounded], dim=1))


def local_norm(tokens: Tensor, grid: Grid, local: Local) -> tuple[Tensor, Tensor]:
    owed = 0 if local.owed is None else local.owed
    maps = (tokens.float() + owed).unflatten(0, (-1, *grid)).permute(0, 3, 1, 2)
    taps = local.taps.T.unflatten(1, (1, 3, 3))
    mixed = F.conv2d(maps, taps, local.bias, padding=1, groups=tokens.shape[1])
    mixed = mixed.permute(0, 2, 3, 1).flatten(0, 2)
    normed = norm(mixed, local.norm)
    return (mixed + local.ahead).to(tokens.dtype), normed.to(tokens.dtype)


def norm(tokens: Tensor, norm: Norm) -> Tensor:
    return F.layer_norm(tokens.float(), tokens.shape[1:], norm.gain, norm.shift, norm.eps).to(tokens.dtype)


def window_attention(qkv: Tensor, grid: Grid, windows: Windows) -> Tensor:
    """The reference's own way: padded tokens are there, and attended to."""
    side = windows.side
    down, across = -(-grid[0] // side), -(-grid[1] // side)
    rows = qkv.float().unflatten(0, (-1, *grid)) - windows.pad.float()
    rows = F.pad(rows, (0, 0, 0, across * side - grid[1], 0, down * side - grid[0])) + windows.pad.float()
    tiles = rows.unflatten(2, (across, side)).unflatten(1, (down, side)).transpose(2, 3)  # [B, down, across, S, S, 3·C]
    q, k, v = tiles.flatten(3, 4).unflatten(-1, (3, windows.heads, -1)).permute(4, 0, 1, 2, 5, 3, 6)
    shares = (q @ k.transpose(-1, -2) * windows.scale).softmax(-1)
    mixed = (shares @ v).transpose(-2, -3).flatten(-2).unflatten(-2, (side, side))  # [B, down, across, S, S, C]
    mixed = mixed.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, : grid[0], : grid[1]]
    return mixed.flatten(0, 2).to(qkv.dtype)


def channel_attention(qkv: Tensor, grid: Grid, channels: Channels) -> Tensor:
    tokens = grid[0] * grid[1]
    q, k, v = qkv.float().unflatten(0, (-1, tokens)).unflatten(2, (3, channels.groups, -1)).permute(2, 0, 3, 1, 4)
    table = (q.transpose(-1, -2) @ k * channels.scale(tokens)).softmax(-1) * channels.gain
    return (v @ table.transpose(-1, -2)).transpose(1, 2).flatten(2).flatten(0, 1).to(qkv.dtype)
