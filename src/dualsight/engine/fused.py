"""DaViT as a GPU wants it: few, large steps over rows of tokens, in a half-precision type throughout.

    block:  local_norm → qkv product → attention → product added to the stream
            local_norm → fc1 product with GELU → fc2 product added to the stream

The stream of tokens is rounded to the type at each sum; norms, softmax and what a kernel adds up are float32. A
product's bias waits in the stream before the product is added to it, so that no pass is spent on it. GELU is the tanh
form where the matrix library has it as a part of the product: within 5e-4, under a bfloat16's rounding.

B images, N = H·W tokens, C width; tokens are rows [B·N, C]. Who computes `Kernels` is not decided here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualsight.model.config import DaViTConfig, ImageEncoderConfig, convolved
from dualsight.model.davit import ChannelAttention, DaViT, DepthwiseConv, FeedForward, Pair, Residual, WindowAttention
from dualsight.model.layers import ConvEmbed, Grid, to_map

Module = TypeVar("Module", bound=nn.Module)
_LARGEST_WINDOW = 16  # whose keys a program holds
_SIDES = {16, 32, 64}  # channels of a head or group: a matrix instruction's sides
_ALIGNED = 8  # numbers: rows of products begin at 16 bytes


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """LayerNorm over channels, its gain and shift [C] in float32."""

    gain: Tensor
    shift: Tensor
    eps: float


@dataclass(frozen=True, slots=True, eq=False)
class Stem:
    """The first convolution as a product of the patches that `Kernels.patches` makes.

    Here rounding costs most: of pixels and weights that stand for small differences of grey. So both are given as two
    numbers that add up, and their product as three: patches [rounded, lost, rounded] · weight [rounded, rounded, lost].

    weight: [C, 3 · columns].
    """

    weight: Tensor
    bias: Tensor
    kernel: int
    stride: int
    padding: int

    @property
    def columns(self) -> int:
        """Numbers of a patch, filled up."""
        return self.weight.shape[1] // 3

    def grid(self, size: Grid) -> Grid:
        """Tokens down and across of pictures of that height and width."""
        down, across = (convolved(side, self.kernel, self.stride, self.padding) for side in size)
        return down, across


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """A depthwise 3×3 convolution with its residual, and the norm after it; float32.

    taps: [9, C], the middle one raised by one for the residual. ahead: [C], the bias of the product to come. owed: [C],
    that of the convolution before, which the tokens still lack.
    """

    taps: Tensor
    bias: Tensor
    norm: Norm
    ahead: Tensor
    owed: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Window attention. pad: [3·C], what the qkv product makes of a padded token."""

    heads: int
    side: int
    scale: float
    pad: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """Channel attention. fixed_scale None: by the number of tokens."""

    groups: int
    fixed_scale: float | None
    gain: float

    def scale(self, tokens: int) -> float:
        """What logits are multiplied by."""
        return cast(float, self.fixed_scale or tokens**-0.5)


class Kernels(Protocol):
    """What is computed in one pass each; `dualsight.engine.kernels` is one of these."""

    def patches(self, pixels: Tensor, scale: Tensor, shift: Tensor, stem: Stem, out: Tensor) -> None:
        """Pixels [B, H, W, 3] of any layout, each · scale + shift [3] → `out` [B·N, 3 · columns]."""
        ...

    def norm(self, tokens: Tensor, norm: Norm) -> Tensor:
        """[B·N, C] → LayerNorm of each row."""
        ...

    def local_norm(self, tokens: Tensor, grid: Grid, local: Local) -> tuple[Tensor, Tensor]:
        """[B·N, C] → tokens + convolution + `ahead`, and LayerNorm(tokens + convolution), of tokens + `owed`."""
        ...

    def window_attention(self, qkv: Tensor, grid: Grid, windows: Windows) -> Tensor:
        """[B·N, 3·C] → [B·N, C]."""
        ...

    def channel_attention(self, qkv: Tensor, grid: Grid, channels: Channels) -> Tensor:
        """[B·N, 3·C] → [B·N, C]."""
        ...


Embed = Callable[[Tensor, Grid], tuple[Tensor, Grid]]  # of a grid → tokens [B·N', C'] of the next stage's grid
Step = Callable[[Tensor, Grid], Tensor]  # tokens [B·N, C] of a grid → the same


class FusedDaViT:
    """The encoder's embeddings. Its weights are copies in `dtype`; the last norm and the projection stay float32."""

    def __init__(self, encoder: DaViT, projection: Tensor, dtype: torch.dtype, kernels: Kernels) -> None:
        self._kernels = kernels
        self._dtype = dtype
        self._norm = encoder.norms
        self._projection = projection.detach()
        convs = [cast(ConvEmbed, conv) for conv in encoder.convs]
        self.stem = self._stem(convs[0])
        self._embeds = [self._first(convs[0]), *(self._embed(conv) for conv in convs[1:])]
        owed = [
            conv.proj.bias.detach().float() if conv.prenorm and conv.proj.bias is not None else None for conv in convs
        ]
        self._stages = [
            [step for i, pair in enumerate(pairs) for step in self._steps(pair, None if i else bias)]
            for pairs, bias in zip(_pairs(encoder), owed, strict=True)
        ]

    @torch.inference_mode()
    def __call__(self, patches: Tensor, grid: Grid) -> Tensor:
        """Patches [B·N, 3 · columns] of pictures, and the grid of `stem` → embeddings [B, D] of unit length."""
        n = len(patches) // (grid[0] * grid[1])
        tokens = patches
        for embed, steps in zip(self._embeds, self._stages, strict=True):
            tokens, grid = embed(tokens, grid)
            for step in steps:
                tokens = step(tokens, grid)
        features = self._norm(tokens.unflatten(0, (n, -1)).mean(1, dtype=torch.float32))  # [B, C]
        return F.normalize(features @ self._projection, dim=-1)

    def _first(self, conv: ConvEmbed) -> Embed:
        norm = _norm(conv.norm)

        def embed(patches: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
            return self._kernels.norm(F.linear(patches, self.stem.weight, self.stem.bias), norm), grid

        return embed

    def _embed(self, conv: ConvEmbed) -> Embed:
        norm, bare = _norm(conv.norm), self._copy(conv)
        bare.norm = nn.Identity()
        if conv.prenorm:
            bare.proj.bias = None  # owed to the tokens until the first block

        def embed(tokens: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
            if conv.prenorm:
                tokens = self._kernels.norm(tokens, norm)
            maps = to_map(tokens.unflatten(0, (-1, grid[0] * grid[1])), grid)
            embedded, grid = bare(maps)  # [B, N, C]
            tokens = embedded.flatten(0, 1)
            return (tokens if conv.prenorm else self._kernels.norm(tokens, norm)), grid

        return embed

    def _steps(self, pair: Pair, owed: Tensor | None) -> list[Step]:
        spatial, channel = pair.spatial_block, pair.channel_block
        return [
            self._attention(spatial.conv1, spatial.window_attn, owed),
            self._feed_forward(spatial.conv2, spatial.ffn),
            self._attention(channel.conv1, channel.channel_attn),
            self._feed_forward(channel.conv2, channel.ffn),
        ]

    def _attention(self, conv: nn.Module, branch: Residual, owed: Tensor | None = None) -> Step:
        attention = cast("WindowAttention | ChannelAttention", branch.fn)
        local = _local(conv, branch, attention.proj, owed)
        qkv, proj = self._copy(attention.qkv), self._copy(attention.proj)
        mix = self._mix(attention)

        def step(tokens: Tensor, grid: Grid) -> Tensor:
            stream, normed = self._kernels.local_norm(tokens, grid, local)
            return stream.addmm_(mix(qkv(normed), grid), proj.weight.T)

        return step

    def _mix(self, attention: WindowAttention | ChannelAttention) -> Step:
        if isinstance(attention, ChannelAttention):
            channels = Channels(attention.groups, attention.fixed_scale, attention.gain)
            return lambda rows, grid: self._kernels.channel_attention(rows, grid, channels)
        pad = attention.padded.detach().to(self._dtype)
        windows = Windows(attention.heads, attention.window, attention.scale, pad)
        return lambda rows, grid: self._kernels.window_attention(rows, grid, windows)

    def _feed_forward(self, conv: nn.Module, branch: Residual) -> Step:
        mlp = cast(FeedForward, branch.fn).net
        local = _local(conv, branch, mlp.fc2)
        fc1, fc2 = self._copy(mlp.fc1), self._copy(mlp.fc2)

        def step(tokens: Tensor, grid: Grid) -> Tensor:
            stream, normed = self._kernels.local_norm(tokens, grid, local)
            # torch has it under no public name
            hidden = torch._addmm_activation(  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
                fc1.bias, normed, fc1.weight.T, use_gelu=True
            )
            return stream.addmm_(hidden, fc2.weight.T)

        return step

    def _stem(self, conv: ConvEmbed) -> Stem:
        weight = conv.proj.weight.detach().permute(0, 2, 3, 1).flatten(1)  # [C, kernel · kernel · 3]
        weight = F.pad(weight, (0, -weight.shape[1] % _ALIGNED))
        rounded = weight.to(self._dtype)
        weight = torch.cat([rounded, rounded, (weight - rounded).to(self._dtype)], dim=1)
        bias = cast(Tensor, conv.proj.bias).detach().to(self._dtype)
        proj = conv.proj
        kernel, stride, padding = (cast(int, sides[0]) for sides in (proj.kernel_size, proj.stride, proj.padding))
        return Stem(weight, bias, kernel, stride, padding)

    def _copy(self, module: Module) -> Module:
        """The module with parameters of its own in the type; convolutions' lie as channels-last maps want them."""
        copied = copy.deepcopy(module).requires_grad_(False).to(self._dtype)
        for part in copied.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
        return copied


def _pairs(encoder: DaViT) -> list[list[Pair]]:
    return [[cast(Pair, pair) for pair in cast(nn.ModuleList, pairs)] for pairs in encoder.blocks]


def _local(conv: nn.Module, branch: Residual, product: nn.Linear, owed: Tensor | None = None) -> Local:
    """The convolution `conv` and the norm before the branch, whose last product is `product`."""
    depthwise = cast(DepthwiseConv, cast(Residual, conv).fn).dw
    taps = depthwise.weight.detach().flatten(1).T.float().contiguous()  # [9, C]
    taps[4] += 1  # tokens + convolution
    bias, ahead = (cast(Tensor, row).detach().float() for row in (depthwise.bias, product.bias))
    return Local(taps, bias, _norm(branch.norm), ahead, owed)


def _norm(module: nn.Module) -> Norm:
    norm = cast(nn.LayerNorm, module)
    return Norm(norm.weight.detach().float(), norm.bias.detach().float(), norm.eps)


def covers(config: ImageEncoderConfig) -> bool:
    """Whether an encoder of this configuration can be computed here."""
    if not isinstance(config, DaViTConfig) or not (config.conv_at_attn and config.conv_at_ffn):
        return False
    parts = {width // n for ns in (config.heads, config.groups) for width, n in zip(config.widths, ns, strict=True)}
    return config.window <= _LARGEST_WINDOW and not config.patch_prenorm[0] and parts <= _SIDES
