"""A configuration as tables: stages, text encoder, weights, DaViT as published beside it. No weights needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from dualsight.model.config import (
    PRESETS,
    CoSwinConfig,
    DaViTConfig,
    DualConfig,
    ImageEncoderConfig,
    TextConfig,
    convolved,
)
from dualsight.model.cost import Cost, image_costs, on_meta, text_costs, total

IMAGENET_SIZE = (224, 224)
SHORT_TEXT = 8  # tokens of a label such as "x-ray chest anteroposterior pneumonia"
PEERS = ("davit-tiny", "davit-small", "davit-base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of work within a stage, over all its blocks."""

    name: str
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage: how it makes its grid, what its blocks look like, what they cost.

    grid: tokens down and across. blocks: pairs of a spatial and a channel block (DaViT) or single blocks (CoSwin).
    groups: None where there is no channel attention. padding_macs: what the reference computes beyond `cost`
    because it pads the grid to whole windows.
    """

    stage: int  # from 1
    kernel: int
    stride: int
    padding: int
    grid: tuple[int, int]
    channels: int
    heads: int
    groups: int | None
    window: int
    blocks: int
    parts: tuple[Part, ...]
    padding_macs: int

    @property
    def cost(self) -> Cost:
        """All parts together."""
        return total(part.cost for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class ImageTable:
    """An image encoder at one picture size (height, width): its stages and the head behind them."""

    architecture: str  # "DaViT" or "CoSwin"
    image_size: tuple[int, int]
    stages: tuple[StageRow, ...]
    head: Cost  # pooling, its norm, and a classification head where there is one

    @cached_property
    def total(self) -> Cost:
        """The whole encoder."""
        return total(stage.cost for stage in self.stages) + self.head

    @property
    def padded_macs(self) -> int:
        """What the reference computes for the same picture, work on padding included."""
        return self.total.macs + sum(stage.padding_macs for stage in self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A text encoder, and its cost by number of tokens."""

    layers: int
    width: int
    heads: int
    context_length: int
    vocabulary: int
    autoregressive: bool
    parameters: int
    macs: tuple[tuple[int, int], ...]  # (tokens, multiply-accumulates)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """Both encoders and what joins them; an image encoder alone has neither text nor projections."""

    image: ImageTable
    text: TextTable | None
    projections: tuple[WeightRow, ...]
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRow:
    """One tensor of a checkpoint."""

    key: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def parameters(self) -> int:
        """Numbers in the tensor."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """One image encoder in a comparison; MACs are None for a size it cannot take."""

    name: str
    channels: tuple[int, ...]
    heads: tuple[int, ...]
    blocks: tuple[int, ...]
    window: int
    parameters: int
    macs_224: int | None  # at ImageNet's 224×224
    macs_here: int | None  # at the size of the model looked into


def model_table(config: DualConfig | ImageEncoderConfig, image_size: tuple[int, int]) -> ModelTable:
    """The whole model as tables. Raises ConfigError for an image size that the encoder cannot take."""
    if not isinstance(config, DualConfig):
        image = image_table(config, image_size)
        return ModelTable(image=image, text=None, projections=(), parameters=image.total.parameters)
    joined = tuple(row for row in weight_table(on_meta(config)) if "." not in row.key)
    image, text = image_table(config.image, image_size), text_table(config.text)
    parameters = image.total.parameters + text.parameters + sum(row.parameters for row in joined)
    return ModelTable(image=image, text=text, projections=joined, parameters=parameters)


def image_table(config: ImageEncoderConfig, image_size: tuple[int, int]) -> ImageTable:
    """An image encoder, stage by stage, for pictures of `image_size` (height, width)."""
    costs, head = image_costs(config, image_size)
    parts = [tuple(Part(name=name, cost=cost) for name, cost in stage.items() if cost != Cost()) for stage in costs]
    if isinstance(config, CoSwinConfig):
        architecture, stages = "CoSwin", _coswin_stages(config, parts)
    else:
        architecture, stages = "DaViT", _davit_stages(config, image_size, parts)
    return ImageTable(architecture=architecture, image_size=image_size, stages=stages, head=head)


def text_table(config: TextConfig) -> TextTable:
    """A text encoder, with its cost for a short text and for one that fills the context."""
    lengths = (min(SHORT_TEXT, config.context_length), config.context_length)
    costs = text_costs(config, lengths)
    return TextTable(
        layers=config.layers,
        width=config.width,
        heads=config.heads,
        context_length=config.context_length,
        vocabulary=config.vocabulary,
        autoregressive=config.autoregressive,
        parameters=costs[0].parameters,
        macs=tuple((length, cost.macs) for length, cost in zip(lengths, costs, strict=True)),
    )


def weight_table(module: nn.Module) -> tuple[WeightRow, ...]:
    """Every tensor of a model's checkpoint, in its order: key, shape, type."""
    return tuple(
        WeightRow(key=key, shape=tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))
        for key, tensor in module.state_dict().items()
    )


def compare(name: str, config: ImageEncoderConfig, image_size: tuple[int, int]) -> tuple[PeerRow, ...]:
    """An image encoder beside DaViT Tiny, Small and Base as published (with their classification heads).

    Each is counted at 224 × 224 and at `image_size` (height, width).
    """
    peers = [(peer, preset) for peer in PEERS if isinstance(preset := PRESETS[peer], DaViTConfig) and peer != name]
    return tuple(_peer_row(label, encoder, image_size) for label, encoder in [(name, config), *peers])


def _peer_row(name: str, config: ImageEncoderConfig, image_size: tuple[int, int]) -> PeerRow:
    fixed = config.image_size if isinstance(config, CoSwinConfig) else None
    totals = {
        size: image_table(config, size).total for size in {IMAGENET_SIZE, image_size} if fixed is None or size == fixed
    }
    return PeerRow(
        name=name,
        channels=config.widths,
        heads=config.heads,
        blocks=config.depths,
        window=config.window,
        parameters=next(iter(totals.values())).parameters,
        macs_224=totals[IMAGENET_SIZE].macs if IMAGENET_SIZE in totals else None,
        macs_here=totals[image_size].macs if image_size in totals else None,
    )


def _davit_stages(
    config: DaViTConfig, image_size: tuple[int, int], parts: list[tuple[Part, ...]]
) -> tuple[StageRow, ...]:
    rows: list[StageRow] = []
    grid = image_size
    for i, width in enumerate(config.widths):
        kernel, stride, padding = config.patch_size[i], config.patch_stride[i], config.patch_padding[i]
        height, across = (convolved(side, kernel, stride, padding) for side in grid)
        grid = (height, across)
        attention = next(part.cost.macs for part in parts[i] if part.name == "window attention")
        rows.append(
            StageRow(
                stage=i + 1,
                kernel=kernel,
                stride=stride,
                padding=padding,
                grid=grid,
                channels=width,
                heads=config.heads[i],
                groups=config.groups[i],
                window=config.window,
                blocks=config.depths[i],
                parts=parts[i],
                padding_macs=config.depths[i] * _padded_attention_macs(grid, width, config.window) - attention,
            )
        )
    return tuple(rows)


def _coswin_stages(config: CoSwinConfig, parts: list[tuple[Part, ...]]) -> tuple[StageRow, ...]:
    return tuple(
        StageRow(
            stage=i + 1,
            kernel=config.patch_size if i == 0 else 3,
            stride=4 if i == 0 else 2,
            padding=config.patch_padding if i == 0 else 1,
            grid=config.grids[i],
            channels=width,
            heads=config.heads[i],
            groups=None,
            window=config.stage_window(i),
            blocks=config.depths[i],
            parts=parts[i],
            padding_macs=0,  # a grid that windows do not divide is refused
        )
        for i, width in enumerate(config.widths)
    )


def _padded_attention_macs(grid: tuple[int, int], width: int, window: int) -> int:
    """Window attention of one block with the grid padded to whole windows: q, k, v, projection, two products."""
    tokens = math.prod(side + -side % window for side in grid)
    return tokens * (4 * width**2 + 2 * width * window**2)
