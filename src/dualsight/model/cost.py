"""Parameters and multiply-accumulates of an encoder, part by part, counted on the model itself without weights.

The model is built on torch's meta device, where tensors have shapes and no memory, and run once under
torch's own counter. Counted are matrix products and convolutions, as the DaViT paper does: one
multiply-accumulate (MAC) for each product that is added up. Norms, GELU and softmax (under 1 %) are not.
The paper's tables call MACs "FLOPs"; a processor does two operations for each, and so `flops` says.
The blocks of a stage are alike, so one is built and counted for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dualsight.errors import ConfigError
from dualsight.model.config import CoSwinConfig, DualConfig, ImageEncoderConfig, TextConfig
from dualsight.model.dual import DualEncoder, image_encoder
from dualsight.model.transformer import TextTransformer

PARTS: tuple[str, ...] = ("conv embedding", "depthwise conv", "window attention", "channel attention", "feed-forward")
"""What a stage is made of, in the order in which tokens meet it."""

# Part, module path with the stage as its group, and what to add to reach the stage's index.
_DAVIT = (
    ("conv embedding", r"convs\.(\d+)", 0),
    ("depthwise conv", r"blocks\.(\d+)\.\d+\.\w+_block\.conv[12]", 0),
    ("window attention", r"blocks\.(\d+)\.\d+\.spatial_block\.window_attn", 0),
    ("channel attention", r"blocks\.(\d+)\.\d+\.channel_block\.channel_attn", 0),
    ("feed-forward", r"blocks\.(\d+)\.\d+\.\w+_block\.ffn", 0),
)
_COSWIN = (
    ("conv embedding", r"(?:patch_embed|absolute_pos_embed)()", 0),
    ("conv embedding", r"layers\.(\d+)\.downsample", 1),
    ("window attention", r"layers\.(\d+)\.blocks\.\d+\.(?:norm1|attn)", 0),
    ("feed-forward", r"layers\.(\d+)\.blocks\.\d+\.(?:norm2|mlp|gamma)", 0),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters, and multiply-accumulates for one picture or one text."""

    parameters: int = 0
    macs: int = 0

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiplication and an addition for each MAC."""
        return 2 * self.macs

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.macs + other.macs)

    def __mul__(self, times: int) -> Cost:
        return Cost(self.parameters * times, self.macs * times)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    return sum(costs, Cost())


def on_meta(config: DualConfig | ImageEncoderConfig | TextConfig) -> nn.Module:
    """The model that a configuration describes, with shapes and no memory, in evaluation mode."""
    with torch.device("meta"):
        match config:
            case DualConfig():
                return DualEncoder(config).eval()
            case TextConfig():
                return TextTransformer(config).eval()
            case _:
                return image_encoder(config).eval()


def image_costs(config: ImageEncoderConfig, size: tuple[int, int]) -> tuple[tuple[dict[str, Cost], ...], Cost]:
    """For each stage the cost of its parts, and the cost of what follows the last: pooling, norm, head.

    size: height, width of one picture. Raises ConfigError for a size that the encoder cannot take.
    """
    _check_size(config, size)
    encoder = on_meta(replace(config, depths=(1,) * len(config.depths)))
    macs = _macs(encoder, torch.empty(1, 3, *size, device="meta"))
    parameters = {name: parameter.numel() for name, parameter in encoder.named_parameters()}
    stages = tuple(dict.fromkeys(PARTS, Cost()) for _ in config.depths)
    for part, pattern, offset in _COSWIN if isinstance(config, CoSwinConfig) else _DAVIT:
        for path, count in macs.items():
            if match := re.fullmatch(pattern, path):
                stages[int(match[1] or 0) + offset][part] += Cost(macs=count)
        for name, count in parameters.items():
            if match := re.match(rf"{pattern}(?:\.|$)", name):
                stages[int(match[1] or 0) + offset][part] += Cost(parameters=count)
    inside = total(cost for stage in stages for cost in stage.values())
    for stage, depth in zip(stages, config.depths, strict=True):
        stage.update((part, stage[part] * depth) for part in PARTS if part != "conv embedding")
    return stages, Cost(sum(parameters.values()) - inside.parameters, macs[""] - inside.macs)


def text_costs(config: TextConfig, lengths: Sequence[int]) -> list[Cost]:
    """The text encoder's cost for one text of each length, in tokens, start and end included."""
    with torch.device("meta"):
        encoder = TextTransformer(replace(config, layers=1)).eval()
    parameters = {name: parameter.numel() for name, parameter in encoder.named_parameters()}
    block = "encoder.resblocks.0"
    layer = sum(count for name, count in parameters.items() if name.startswith("resblocks."))
    costs: list[Cost] = []
    for length in lengths:
        ids = torch.zeros(1, length, dtype=torch.int64, device="meta")
        macs = _macs(_WholeText(encoder), ids)
        once = Cost(sum(parameters.values()) - layer, macs[""] - macs[block])
        costs.append(once + Cost(layer, macs[block]) * config.layers)
    return costs


class _WholeText(nn.Module):
    """The text encoder over every token: which of them are padding, a meta tensor cannot say."""

    def __init__(self, encoder: TextTransformer) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.encoder.hidden_states(input_ids, torch.ones_like(input_ids))


def _macs(module: nn.Module, *inputs: torch.Tensor) -> dict[str, int]:
    """Multiply-accumulates of each submodule by its path; the whole under the empty path."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    root = type(module).__name__
    counts = {name: sum(by_operation.values()) // 2 for name, by_operation in counter.get_flop_counts().items()}
    return {name.removeprefix(root).removeprefix("."): count for name, count in counts.items() if name != "Global"}


def _check_size(config: ImageEncoderConfig, size: tuple[int, int]) -> None:
    if isinstance(config, CoSwinConfig) and size != config.image_size:
        fixed = "×".join(map(str, config.image_size))
        raise ConfigError(f"CoSwin of {fixed} pixels cannot take {size[0]}×{size[1]}: its tables depend on the size")
