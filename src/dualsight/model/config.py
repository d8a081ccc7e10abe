"""What an encoder is, as data: one frozen dataclass per architecture, and presets by published name.

Widths, depths and heads are per stage. Everything that can be wrong is refused when the object is made.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from dualsight.errors import ConfigError, NoSuchPreset

ChannelScale = Literal["tokens", "width", "group"]
"""Channel attention's scale: N^-0.5 over tokens, C^-0.5 over the whole width, or c^-0.5 over a group."""


def ragged(side: int, kernel: int) -> int:
    """Rows of zeros that a convolution adds to a side before its own padding: an even kernel fills a ragged edge."""
    return -side % kernel if kernel % 2 == 0 else 0


def convolved(side: int, kernel: int, stride: int, padding: int) -> int:
    """Tokens along a side of pixels, or of a finer grid's tokens."""
    return (side + ragged(side, kernel) + 2 * padding - kernel) // stride + 1


def _check_least(name: str, values: Sequence[int], least: int = 1) -> None:
    if not values or min(values) < least:
        raise ConfigError(f"{name} is {', '.join(map(str, values)) or 'empty'}, and {least} is the least")


@dataclass(frozen=True, slots=True, kw_only=True)
class MuP:
    """The base model's sizes, against which the maximal-update parametrisation scales attention."""

    widths: tuple[int, ...]
    heads: tuple[int, ...]
    groups: tuple[int, ...]

    def check(self, n: int) -> None:
        """Raises ConfigError where these are not the sizes of n stages."""
        for name in ("widths", "heads", "groups"):
            if len(getattr(self, name)) != n:
                raise ConfigError(f"DaViT: {name} of muP's base has {len(getattr(self, name))} values for {n} stages")
        for i, width in enumerate(self.widths):
            for name, parts in (("heads", self.heads[i]), ("groups", self.groups[i])):
                if not 1 <= parts <= width:
                    raise ConfigError(f"DaViT stage {i + 1}: a width {width} of muP's base has no {parts} {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DaViTConfig:
    """Dual attention vision transformer (arXiv 2204.03645)."""

    widths: tuple[int, ...]  # channels of each stage
    depths: tuple[int, ...]  # (spatial block, channel block) pairs of each stage
    heads: tuple[int, ...]  # of window attention
    groups: tuple[int, ...]  # of channel attention
    patch_size: tuple[int, ...] = (7, 3, 3, 3)
    patch_stride: tuple[int, ...] = (4, 2, 2, 2)
    patch_padding: tuple[int, ...] = (3, 1, 1, 1)
    patch_prenorm: tuple[bool, ...] = (False, True, True, True)
    window: int = 7  # side, in tokens
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    conv_at_attn: bool = True  # a depthwise convolution before attention
    conv_at_ffn: bool = True  # … and before the MLP
    channel_scale: ChannelScale = "tokens"
    mup: MuP | None = None
    drop_path_rate: float = 0.0  # stochastic depth of the last block, in training only
    num_classes: int = 0  # 0: no classification head

    def __post_init__(self) -> None:
        n = len(self.widths)
        per_stage = (
            "depths",
            "heads",
            "groups",
            "patch_size",
            "patch_stride",
            "patch_padding",
            "patch_prenorm",
        )
        for name in per_stage:
            if len(getattr(self, name)) != n:
                raise ConfigError(f"DaViT: {name} has {len(getattr(self, name))} values for {n} stages")
        for name in ("widths", "depths", "patch_size", "patch_stride"):
            _check_least(f"DaViT: {name}", getattr(self, name))
        _check_least("DaViT: patch_padding", self.patch_padding, 0)
        for i, width in enumerate(self.widths):
            for name, parts in (("heads", self.heads[i]), ("groups", self.groups[i])):
                if parts < 1 or width % parts:
                    raise ConfigError(f"DaViT stage {i + 1}: width {width} is not a multiple of {parts} {name}")
        if self.window < 1:
            raise ConfigError(f"DaViT: a window of {self.window} tokens is not a window")
        if self.mup is not None:
            self.mup.check(n)

    @property
    def feature_width(self) -> int:
        """Numbers in a feature vector, before the projection."""
        return self.widths[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoSwinConfig:
    """Swin (arXiv 2103.14030) with convolutional embeddings. A fixed input size: its tables depend on it."""

    image_size: tuple[int, int]  # height, width
    width: int  # of the first stage; doubled by each next
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int = 7
    patch_size: int = 7
    patch_padding: int = 2
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    qk_scale: float | None = None  # None: head_dim^-0.5
    absolute_position: bool = False
    patch_norm: bool = True
    layer_scale: bool = False
    drop_path_rate: float = 0.0
    num_classes: int = 0

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.heads):
            raise ConfigError(f"CoSwin: {len(self.depths)} depths for {len(self.heads)} head counts")
        for name, values in (
            ("width", (self.width,)),
            ("depths", self.depths),
            ("window", (self.window,)),
            ("patch_size", (self.patch_size,)),
        ):
            _check_least(f"CoSwin: {name}", values)
        _check_least("CoSwin: patch_padding", (self.patch_padding,), 0)
        for i, (width, heads) in enumerate(zip(self.widths, self.heads, strict=True)):
            if heads < 1 or width % heads:
                raise ConfigError(f"CoSwin stage {i + 1}: width {width} is not a multiple of {heads} heads")
        for i, grid in enumerate(self.grids):
            window = self.stage_window(i)
            if min(grid) < 1 or grid[0] % window or grid[1] % window:
                raise ConfigError(
                    f"CoSwin stage {i + 1}: a grid of {grid[0]}×{grid[1]} is not a multiple of the window {window}",
                    hint="choose an IMAGE_SIZE whose four grids the window divides",
                )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.width * 2**i for i in range(len(self.depths)))

    @property
    def grids(self) -> tuple[tuple[int, int], ...]:
        """Tokens (down, across) of each stage; the patch stride is 4 whatever a config file says."""
        height, width = (convolved(side, self.patch_size, 4, self.patch_padding) for side in self.image_size)
        grids: list[tuple[int, int]] = []
        for _ in self.depths:
            grids.append((height, width))
            height, width = convolved(height, 3, 2, 1), convolved(width, 3, 2, 1)
        return tuple(grids)

    def stage_window(self, stage: int) -> int:
        """Window side of a stage: the grid itself where that is no larger."""
        return min(self.window, *self.grids[stage])

    @property
    def feature_width(self) -> int:
        """Numbers in a feature vector, before the projection."""
        return self.widths[-1]


ImageEncoderConfig = DaViTConfig | CoSwinConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """CLIP-style text transformer (arXiv 2103.00020), with either attention mask."""

    width: int
    heads: int
    layers: int
    context_length: int = 77
    vocabulary: int = 49_408
    autoregressive: bool = True  # causal mask; else padding is masked and nothing more

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width % self.heads:
            raise ConfigError(f"text encoder: width {self.width} is not a multiple of {self.heads} heads")


@dataclass(frozen=True, slots=True, kw_only=True)
class DualConfig:
    """Two encoders, projected to one space."""

    image: ImageEncoderConfig
    text: TextConfig
    projection: int  # numbers in an embedding
    image_size: tuple[int, int]  # height, width of the pixels


def _davit(first: int, depths: tuple[int, ...]) -> DaViTConfig:
    """A DaViT as published: widths double, heads and groups are 32 wide, kernel 2 after a norm, 1,000 classes."""
    widths = tuple(first * 2**i for i in range(4))
    heads = tuple(width // 32 for width in widths)
    return DaViTConfig(
        widths=widths,
        depths=depths,
        heads=heads,
        groups=heads,
        patch_size=(7, 2, 2, 2),
        patch_padding=(3, 0, 0, 0),
        window=7,
        channel_scale="group",
        num_classes=1000,
    )


_MEDIMAGEINSIGHT = DualConfig(
    image=DaViTConfig(
        widths=(256, 512, 1024, 2048),
        depths=(1, 1, 9, 1),
        heads=(8, 16, 32, 64),
        groups=(8, 16, 32, 64),
        window=12,
        drop_path_rate=0.2,
    ),
    text=TextConfig(width=1024, heads=16, layers=16, autoregressive=False),
    projection=1024,
    image_size=(480, 480),
)

PRESETS: Mapping[str, DaViTConfig | DualConfig] = MappingProxyType(
    {
        "davit-tiny": _davit(96, (1, 1, 3, 1)),
        "davit-small": _davit(96, (1, 1, 9, 1)),
        "davit-base": _davit(128, (1, 1, 9, 1)),
        "davit-large": _davit(192, (1, 1, 9, 1)),
        "davit-huge": _davit(256, (1, 1, 9, 1)),
        "davit-giant": _davit(384, (1, 1, 12, 3)),
        "medimageinsight": _MEDIMAGEINSIGHT,
    }
)
"""Published models by name: DaViT's six with their ImageNet heads, and the whole of MedImageInsight."""


def preset(name: str) -> DaViTConfig | DualConfig:
    """The configuration of a published model.

    Raises NoSuchPreset, with near names in its hint.
    """
    try:
        return PRESETS[name]
    except KeyError:
        near = difflib.get_close_matches(name, PRESETS)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(PRESETS)}"
        raise NoSuchPreset(f"no preset {name!r}", hint=hint) from None
