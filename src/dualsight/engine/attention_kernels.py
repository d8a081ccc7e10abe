"""Attention's kernels for Triton: each reads a grid's qkv rows where they lie, and writes the mixed rows.

B images, N = H·W tokens of a grid, C width, h heads, G groups, d = C/h or C/G, S window. Rows are [B·N, 3·C]: q, k, v.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import triton
import triton.language as tl
from torch import Tensor

from dualsight.model.layers import Grid

if TYPE_CHECKING:
    from dualsight.engine.fused import Channels, Windows

_QUERIES = 64  # tokens that ask at a time: the smallest tile of Hopper's matrix instructions
_TOKENS = 64  # of channel attention's tiles


def window_attention(qkv: Tensor, grid: Grid, windows: Windows) -> Tensor:
    """Rows q, k, v [B·N, 3·C] → [B·N, C]. A window that the grid fills only in part has `windows.pad` for the rest, the
    key and value of a padded token.
    """
    (height, width), channels, side = grid, qkv.shape[1] // 3, windows.side
    slots = side * side
    most = 1 << (slots.bit_length() - 1)
    mixed = qkv.new_empty(len(qkv), channels)
    n_windows = triton.cdiv(height, side) * triton.cdiv(width, side)
    _window_attention[(windows.heads, n_windows, len(qkv) // (height * width))](
        qkv,
        windows.pad,
        mixed,
        height,
        width,
        windows.scale / math.log(2),
        CHANNELS=channels,
        DIM=channels // windows.heads,
        SIDE=side,
        MOST=most,
        REST=max(16, triton.next_power_of_2(slots - most)),
        QUERIES=_QUERIES,
        num_warps=4,
    )
    return mixed


def channel_attention(qkv: Tensor, grid: Grid, channels: Channels) -> Tensor:
    """Rows q, k, v [B·N, 3·C] → [B·N, C]."""
    tokens, width = grid[0] * grid[1], qkv.shape[1] // 3
    mixed = qkv.new_empty(len(qkv), width)
    _channel_attention[(channels.groups, len(qkv) // tokens)](
        qkv,
        mixed,
        channels.scale(tokens) / math.log(2),
        channels.gain,
        TOKENS=tokens,
        CHANNELS=width,
        DIM=width // channels.groups,
        TILE=_TOKENS,
        num_warps=2,
    )
    return mixed


@triton.jit
def _keys(
    rows: tl.tensor, pad: tl.tensor, token: tl.tensor, inside: tl.tensor, CHANNELS: tl.constexpr, DIM: tl.constexpr
) -> tl.tensor:
    """Keys or values [slots, d] of a window: the tokens' own, outside of the grid the padded token's."""
    channel = tl.arange(0, DIM)
    own = tl.load(rows + token[:, None] * (3 * CHANNELS) + channel[None, :], mask=inside[:, None], other=0.0)
    return tl.where(inside[:, None], own, tl.load(pad + channel)[None, :])


@triton.jit
def _place(
    slot: tl.tensor, top: tl.tensor, left: tl.tensor, height: tl.tensor, width: tl.tensor, SIDE: tl.constexpr
) -> tl.tensor:
    """The token at a slot of the window, and whether the window has that slot and the grid that token."""
    y = top + slot // SIDE
    x = left + slot % SIDE
    return y * width + x, (slot < SIDE * SIDE) & (y < height) & (x < width)


@triton.jit
def _window_attention(
    qkv: tl.tensor,
    pad: tl.tensor,
    mixed: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    scale: tl.tensor,
    CHANNELS: tl.constexpr,
    DIM: tl.constexpr,
    SIDE: tl.constexpr,
    MOST: tl.constexpr,
    REST: tl.constexpr,
    QUERIES: tl.constexpr,
) -> None:
    """A head in a window of an image. Keys are held in two tiles, since a tile's side is a power of two."""
    head = tl.program_id(0) * DIM
    windows = (width + SIDE - 1) // SIDE
    top = tl.program_id(1) // windows * SIDE
    left = tl.program_id(1) % windows * SIDE
    image = tl.program_id(2).to(tl.int64) * height * width
    rows = qkv + image * (3 * CHANNELS) + head
    channel = tl.arange(0, DIM)
    rest = MOST + tl.arange(0, REST)
    token0, inside0 = _place(tl.arange(0, MOST), top, left, height, width, SIDE)
    token1, inside1 = _place(rest, top, left, height, width, SIDE)
    k0 = _keys(rows + CHANNELS, pad + CHANNELS + head, token0, inside0, CHANNELS, DIM)
    k1 = _keys(rows + CHANNELS, pad + CHANNELS + head, token1, inside1, CHANNELS, DIM)
    v0 = _keys(rows + 2 * CHANNELS, pad + 2 * CHANNELS + head, token0, inside0, CHANNELS, DIM)
    v1 = _keys(rows + 2 * CHANNELS, pad + 2 * CHANNELS + head, token1, inside1, CHANNELS, DIM)
    for start in range(0, tl.minimum(height - top, SIDE) * SIDE, QUERIES):  # of rows that are on the grid
        token, inside = _place(start + tl.arange(0, QUERIES), top, left, height, width, SIDE)
        at = token[:, None] * (3 * CHANNELS) + channel[None, :]
        q = tl.load(rows + at, mask=inside[:, None], other=0.0)
        logits0 = tl.dot(q, tl.trans(k0)) * scale
        logits1 = tl.where((rest < SIDE * SIDE)[None, :], tl.dot(q, tl.trans(k1)) * scale, -float("inf"))
        peak = tl.maximum(tl.max(logits0, 1), tl.max(logits1, 1))[:, None]
        share0 = tl.exp2(logits0 - peak)
        share1 = tl.exp2(logits1 - peak)
        total = tl.sum(share0, 1) + tl.sum(share1, 1)
        answer = tl.dot(share0.to(v0.dtype), v0) + tl.dot(share1.to(v1.dtype), v1)
        at = (image + token)[:, None] * CHANNELS + head + channel[None, :]
        tl.store(mixed + at, (answer / total[:, None]).to(mixed.dtype.element_ty), mask=inside[:, None])


@triton.jit
def _channel_attention(
    qkv: tl.tensor,
    mixed: tl.tensor,
    scale: tl.tensor,
    gain: tl.tensor,
    TOKENS: tl.constexpr,
    CHANNELS: tl.constexpr,
    DIM: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    """A group of an image: its d × d table of channels over all tokens, then each token's channels mixed by it."""
    group = tl.program_id(0) * DIM
    image = tl.program_id(1).to(tl.int64) * TOKENS
    channel = tl.arange(0, DIM)
    slot = tl.arange(0, TILE)
    rows = qkv + (image + slot)[:, None] * (3 * CHANNELS) + group + channel[None, :]
    logits = tl.zeros([DIM, DIM], tl.float32)
    for start in range(0, TOKENS, TILE):
        inside = (start + slot < TOKENS)[:, None]
        q = tl.load(rows + start * (3 * CHANNELS), mask=inside, other=0.0)
        k = tl.load(rows + start * (3 * CHANNELS) + CHANNELS, mask=inside, other=0.0)
        logits = tl.dot(tl.trans(q), k, logits)
    logits *= scale
    table = tl.exp2(logits - tl.max(logits, 1)[:, None])
    table = (table * (gain / tl.sum(table, 1))[:, None]).to(mixed.dtype.element_ty)
    to = mixed + (image + slot)[:, None] * CHANNELS + group + channel[None, :]
    for start in range(0, TOKENS, TILE):
        inside = (start + slot < TOKENS)[:, None]
        v = tl.load(rows + start * (3 * CHANNELS) + 2 * CHANNELS, mask=inside, other=0.0)
        tl.store(to + start * CHANNELS, tl.dot(v, tl.trans(table)).to(mixed.dtype.element_ty), mask=inside)
