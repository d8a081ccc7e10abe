"""Where a token looks, and what groups of channels see: the last attention of each stage.

    stage's entry ─▶ blocks but the last ─▶ window attention of one token   [h, H, W], over the window it lies in
                                         └▶ channel attention, by group     [G, H, W], length of what a group adds

Attention says what is mixed within one block. It is no explanation of the answer: for that see the other files here.

B batch (here 1), H W grid, N = H·W tokens, C width, h heads, d = C/h, G groups, S window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dualsight.errors import ConfigError
from dualsight.model.coswin import CoSwin, SwinBlock, SwinStage, relative_positions, shift_mask
from dualsight.model.davit import ChannelAttention, DaViT, Pair, WindowAttention
from dualsight.model.layers import Grid, Stage
from dualsight.model.windows import regions, to_windows
from dualsight.task.model import Model

Map = NDArray[np.float32]
Place = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageAttention:
    """The last attention of one stage.

    token: row and column of the token that looks. window: float32 [h, H, W], each head's weights, 0 outside the
    token's window; they add up to 1 less `padding` [h], the part that goes to padding beyond the grid.
    groups: float32 [G, H, W], the length of what each group of channels makes of each token, before the projection;
    None where the stage has no channel attention.
    """

    stage: int  # from 1
    grid: Grid
    token: tuple[int, int]
    window: Map
    padding: NDArray[np.float32]
    groups: Map | None


@torch.inference_mode()
def attention(model: Model, pixels: NDArray[np.float32], at: Place = (0.5, 0.5)) -> tuple[StageAttention, ...]:
    """The last attention of every stage, for normalised pixels [3, H, W].

    at: (x, y) of the token that looks, as parts of the encoder's picture, 0…1.
    Raises ConfigError for a place outside the picture.
    """
    if not all(0 <= part <= 1 for part in at):
        raise ConfigError(f"no place at {at[0]:g}, {at[1]:g}", hint="x and y are parts of the picture, from 0 to 1")
    encoder = model.checkpoint.model.image_encoder
    batch = torch.from_numpy(pixels)[None].to(model.checkpoint.model.logit_scale.device)
    return tuple(_look(encoder, number, stage, at) for number, stage in enumerate(encoder.stages(batch)))


def _look(encoder: DaViT | CoSwin, number: int, stage: Stage, at: Place) -> StageAttention:
    row, column = (min(int(part * side), side - 1) for part, side in zip(at[::-1], stage.grid, strict=True))
    groups = None
    if isinstance(encoder, DaViT):
        pair, tokens = _last_pair(encoder, number, stage)
        spatial = pair.spatial_block
        entering = spatial.window_attn.norm(spatial.conv1(tokens, stage.grid))
        layer = cast(WindowAttention, spatial.window_attn.fn)
        window, padding = window_weights(layer, entering, stage.grid, (row, column))
        groups = _group_lengths(pair, spatial(tokens, stage.grid), stage.grid)
    else:
        block, tokens = _last_block(encoder, number, stage)
        window = shifted_window_weights(block, block.norm1(tokens), stage.grid, (row, column))
        padding = window.new_zeros(len(window))
    return StageAttention(
        stage=number + 1,
        grid=stage.grid,
        token=(row, column),
        window=_array(window),
        padding=_array(padding),
        groups=None if groups is None else _array(groups),
    )


def _last_pair(encoder: DaViT, number: int, stage: Stage) -> tuple[Pair, Tensor]:
    """The last pair of blocks, and the tokens that enter it."""
    *before, last = cast(Sequence[Pair], encoder.blocks[number])
    tokens = stage.embedded
    for pair in before:
        tokens = pair(tokens, stage.grid)
    return last, tokens


def _last_block(encoder: CoSwin, number: int, stage: Stage) -> tuple[SwinBlock, Tensor]:
    *before, last = cast(Sequence[SwinBlock], cast(SwinStage, encoder.layers[number]).blocks)
    tokens = stage.embedded
    for block in before:
        tokens = block(tokens, stage.grid)
    return last, tokens


def _group_lengths(pair: Pair, tokens: Tensor, grid: Grid) -> Tensor:
    """[G, H, W] of tokens [1, N, C] that enter the channel block."""
    channel = pair.channel_block
    entering = channel.channel_attn.norm(channel.conv1(tokens, grid))
    mixed = cast(ChannelAttention, channel.channel_attn.fn).mix(entering)[0]  # [G, N, c]
    return mixed.norm(dim=-1).unflatten(1, grid)


def window_weights(layer: WindowAttention, tokens: Tensor, grid: Grid, at: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Attention of the token at (row, column): [h, H, W] over the grid and [h] for padding. tokens: [1, N, C], normed.

    As `WindowAttention`, with the softmax written out.
    """
    rows, columns, height, width = next(
        part
        for across in regions(grid, layer.window)
        for part in across
        if part[0].start <= at[0] < part[0].stop and part[1].start <= at[1] < part[1].stop
    )
    top = at[0] - (at[0] - rows.start) % height
    left = at[1] - (at[1] - columns.start) % width
    q, k = _queries_and_keys(layer.qkv(tokens), layer.heads)  # each [N, h, d]
    k = k.unflatten(0, grid)[top : top + height, left : left + width].flatten(0, 1)  # [n, h, d]
    query = q.unflatten(0, grid)[at]  # [h, d]
    missing = layer.window**2 - height * width
    if missing:
        k = torch.cat([k, _queries_and_keys(layer.padded[None, None], layer.heads)[1]])
    logits = torch.einsum("hd,nhd->hn", query, k) * layer.scale
    if missing:
        logits[:, -1] += math.log(missing)
    weights = logits.softmax(-1)  # [h, n] or [h, n + 1]
    over_grid = weights.new_zeros(layer.heads, *grid)
    over_grid[:, top : top + height, left : left + width] = weights[:, : height * width].unflatten(1, (height, width))
    return over_grid, weights[:, height * width :].sum(-1)


def shifted_window_weights(block: SwinBlock, tokens: Tensor, grid: Grid, at: tuple[int, int]) -> Tensor:
    """Attention of the token at (row, column), [h, H, W], in a CoSwin block. tokens: [1, N, C], normed."""
    layer = block.attn
    places = torch.arange(grid[0] * grid[1], device=tokens.device).view(1, *grid, 1)
    places = to_windows(places.roll((-block.shift, -block.shift), (1, 2)), block.window, block.window)[..., 0]
    number, query = (int(i) for i in (places == at[0] * grid[1] + at[1]).nonzero()[0])
    members = places[number]  # [n], which tokens share the window
    q, k = _queries_and_keys(layer.qkv(tokens), layer.heads)  # each [N, h, d]
    logits = torch.einsum("hd,nhd->hn", q[members[query]], k[members]) * layer.scale
    index = relative_positions(layer.window).to(tokens.device).unflatten(0, (len(members), -1))[query]
    logits = logits + layer.relative_position_bias_table[index].T
    if block.shift:
        logits = logits + shift_mask(grid, block.window, block.shift).to(tokens.device)[number, query]
    over_grid = logits.new_zeros(layer.heads, grid[0] * grid[1])
    over_grid[:, members] = F.softmax(logits, dim=-1)
    return over_grid.unflatten(1, grid)


def _queries_and_keys(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """[1, N, 3·C] → queries and keys, each [N, h, d]."""
    q, k, _ = qkv[0].unflatten(-1, (3, heads, -1)).unbind(1)
    return q, k


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.float().cpu().numpy(), dtype=np.float32)
