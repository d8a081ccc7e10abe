"""What torch computes in too many passes over a GPU's memory, in one each: four kernels for Triton.

B images, N = H·W tokens of a grid, C width, h heads, G groups, d = C/h or C/G, S window. Tokens are rows [B·N, C].

    patches             pixels of any layout → rows for the first convolution as a matrix product
    local_norm          tokens + depthwise convolution, and LayerNorm of the sum     reads 1 ×, writes 2 ×
    window_attention    within windows, straight from the grid's qkv rows            reads 3 ×, writes 1 ×
    channel_attention   among the channels of a group                                reads 3 ×, writes 1 ×

Sums, softmax and norms are float32. Imported only where Triton is: it comes with torch for CUDA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from dualsight.engine.attention_kernels import channel_attention, window_attention
from dualsight.model.layers import Grid

if TYPE_CHECKING:
    from dualsight.engine.fused import Local, Norm, Stem

__all__ = ["channel_attention", "local_norm", "norm", "patches", "window_attention"]

_A_THREADS = 32  # numbers of a tile that one thread holds


def patches(pixels: Tensor, scale: Tensor, shift: Tensor, stem: Stem, out: Tensor) -> None:
    """Pixels [B, H, W, 3] in any memory layout, each · scale + shift of its channel → `out` [B·N, 3 · columns], a row
    for each token: [kernel down, kernel across, 3] and zeros, three times: rounded, what rounding lost, rounded.
    """
    n, height, width, _ = pixels.shape
    down, across = stem.grid((height, width))
    _patches[(triton.cdiv(down * across, 16), n)](
        pixels,
        scale,
        shift,
        out,
        height,
        width,
        *pixels.stride(),
        down * across,
        across,
        KERNEL=stem.kernel,
        STRIDE=stem.stride,
        PADDING=stem.padding,
        COLUMNS=stem.columns,
        BLOCK=triton.next_power_of_2(stem.columns),
        TOKENS=16,
    )


def local_norm(tokens: Tensor, grid: Grid, local: Local) -> tuple[Tensor, Tensor]:
    """Tokens [B·N, C] → the residual stream with the convolution and `local.ahead` in it, and LayerNorm of the stream
    without `ahead`; both new.
    """
    (height, width), channels = grid, tokens.shape[1]
    block, warps, across = _tile(channels)
    stream, normed = torch.empty_like(tokens), torch.empty_like(tokens)
    _local_norm[(triton.cdiv(width, across), height, len(tokens) // (height * width))](
        tokens,
        local.owed if local.owed is not None else local.bias,
        local.taps,
        local.bias,
        local.norm.gain,
        local.norm.shift,
        local.ahead,
        stream,
        normed,
        height,
        width,
        local.norm.eps,
        OWED=local.owed is not None,
        CHANNELS=channels,
        BLOCK=block,
        ACROSS=across,
        num_warps=warps,
    )
    return stream, normed


def norm(tokens: Tensor, norm: Norm) -> Tensor:
    """LayerNorm of each row [B·N, C]."""
    block, warps, rows = _tile(tokens.shape[1])
    normed = torch.empty_like(tokens)
    _norm[(triton.cdiv(len(tokens), rows),)](
        tokens,
        norm.gain,
        norm.shift,
        normed,
        len(tokens),
        norm.eps,
        CHANNELS=tokens.shape[1],
        BLOCK=block,
        ROWS=rows,
        num_warps=warps,
    )
    return normed


def _tile(channels: int) -> tuple[int, int, int]:
    """Of a program that holds whole tokens: channels, filled up; warps; tokens. As measured on an H100."""
    block: int = triton.next_power_of_2(channels)
    warps = min(max(block // 256, 2), 8)
    return block, warps, max(1, 32 * warps * _A_THREADS // block)


@triton.jit
def _patches(
    pixels: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    out: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    per_image: tl.tensor,
    per_row: tl.tensor,
    per_column: tl.tensor,
    per_channel: tl.tensor,
    tokens: tl.tensor,
    across: tl.tensor,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    PADDING: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
    TOKENS: tl.constexpr,
) -> None:
    """Some tokens of an image."""
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    image = tl.program_id(1).to(tl.int64)
    column = tl.arange(0, BLOCK)
    channel = column % 3
    y = (token // across * STRIDE - PADDING)[:, None] + (column // (3 * KERNEL))[None, :]
    x = (token % across * STRIDE - PADDING)[:, None] + (column // 3 % KERNEL)[None, :]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    inside &= (column < 3 * KERNEL * KERNEL)[None, :] & (token < tokens)[:, None]
    at = image * per_image + y * per_row + x * per_column + (channel * per_channel)[None, :]
    value = tl.load(pixels + at, mask=inside, other=0).to(tl.float32)
    value = value * tl.load(scale + channel)[None, :] + tl.load(shift + channel)[None, :]
    value = tl.where(inside, value, 0.0)
    rounded = value.to(out.dtype.element_ty)
    lost = (value - rounded.to(tl.float32)).to(out.dtype.element_ty)
    row = out + (image * tokens + token)[:, None] * (3 * COLUMNS) + column[None, :]
    written = (token < tokens)[:, None] & (column < COLUMNS)[None, :]
    tl.store(row, rounded, mask=written)
    tl.store(row + COLUMNS, lost, mask=written)
    tl.store(row + 2 * COLUMNS, rounded, mask=written)


@triton.jit
def _local_norm(
    tokens: tl.tensor,
    owed: tl.tensor,
    taps: tl.tensor,
    bias: tl.tensor,
    gain: tl.tensor,
    shift: tl.tensor,
    ahead: tl.tensor,
    stream: tl.tensor,
    normed: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    eps: tl.tensor,
    OWED: tl.constexpr,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
    ACROSS: tl.constexpr,
) -> None:
    """ACROSS neighbouring tokens in a row of the grid, with all their channels."""
    column = tl.program_id(0) * ACROSS + tl.arange(0, ACROSS)
    row = tl.program_id(1)
    image = tl.program_id(2).to(tl.int64) * height * width * CHANNELS  # offsets within it are 32-bit numbers
    tokens, stream, normed = tokens + image, stream + image, normed + image
    channel = tl.arange(0, BLOCK)
    real = channel < CHANNELS
    mixed = tl.zeros([ACROSS, BLOCK], tl.float32) + tl.load(bias + channel, mask=real, other=0.0)[None, :]
    for tap in tl.static_range(9):
        y = row + tap // 3 - 1
        x = column + tap % 3 - 1
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        at = ((y * width + x) * CHANNELS)[:, None] + channel[None, :]
        near = tl.load(tokens + at, mask=inside[:, None] & real[None, :], other=0.0).to(tl.float32)
        if OWED:
            near += tl.where(inside[:, None], tl.load(owed + channel, mask=real, other=0.0)[None, :], 0.0)
        mixed += near * tl.load(taps + tap * CHANNELS + channel, mask=real, other=0.0)[None, :]
    unit = _normed(mixed, gain, shift, eps, channel, CHANNELS)
    mixed += tl.load(ahead + channel, mask=real)[None, :]
    at = ((row * width + column) * CHANNELS)[:, None] + channel[None, :]
    written = (column < width)[:, None] & real[None, :]
    tl.store(stream + at, mixed.to(stream.dtype.element_ty), mask=written)
    tl.store(normed + at, unit.to(normed.dtype.element_ty), mask=written)


@triton.jit
def _norm(
    tokens: tl.tensor,
    gain: tl.tensor,
    shift: tl.tensor,
    normed: tl.tensor,
    n: tl.tensor,
    eps: tl.tensor,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    """Some rows."""
    channel = tl.arange(0, BLOCK)
    real = channel < CHANNELS
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    at = row[:, None] * CHANNELS + channel[None, :]
    inside = (row < n)[:, None] & real[None, :]
    value = tl.load(tokens + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(normed + at, _normed(value, gain, shift, eps, channel, CHANNELS).to(normed.dtype.element_ty), mask=inside)


@triton.jit
def _add_both(a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor) -> tl.tensor:
    return a + c, b + d


@triton.jit
def _normed(
    value: tl.tensor,
    gain: tl.tensor,
    shift: tl.tensor,
    eps: tl.tensor,
    channel: tl.tensor,
    CHANNELS: tl.constexpr,
) -> tl.tensor:
    """LayerNorm of float32 rows [n, BLOCK] that are zero behind their channels."""
    real = channel < CHANNELS
    total, squares = tl.reduce((value, value * value), 1, _add_both)
    mean = total / CHANNELS
    variance = tl.maximum(squares / CHANNELS - mean * mean, 0.0)
    unit = (value - mean[:, None]) * tl.rsqrt(variance + eps)[:, None]
    return unit * tl.load(gain + channel, mask=real)[None, :] + tl.load(shift + channel, mask=real)[None, :]
