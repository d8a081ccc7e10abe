"""How weights are moved and pictures varied, as data. The defaults are MI2's own values but for batch and epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dualsight.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Optimiser, schedule, batch and what is kept. Learning rates are peaks; a step is one move of the weights."""

    epochs: float = 10.0
    batch: int = 64  # pairs of one step, of all processes together
    micro_batch: int | None = None  # pairs at a time in one process: less memory, the same loss; None: all its own
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for hidden matrices, AdamW for the rest
    learning_rate: float = 1e-5
    final_learning_rate: float = 1e-9  # warm-up comes from it, the cosine goes to it
    warmup_steps: int = 5
    weight_decay: float = 0.2  # of matrices and kernels
    betas: tuple[float, float] = (0.9, 0.999)  # AdamW's
    clip_norm: float = 1.0
    ema_decay: float = 0.999  # a step; the running mean is what is measured and kept
    precision: Literal["float32", "bfloat16"] = "float32"  # of the encoders; weights and loss stay in float32
    activation_checkpointing: bool = False  # each block computed again for its gradient: less memory, more time
    class_prompts: bool = False  # each picture is also told among the prompts of all labels, in every batch

    def __post_init__(self) -> None:
        positive = {"epochs": self.epochs, "batch": self.batch, "micro_batch": self.micro_batch or 1}
        positive |= {"learning_rate": self.learning_rate, "clip_norm": self.clip_norm}
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise ConfigError(f"recipe.{name} is {value:g}: it must be positive")
        for name in ("final_learning_rate", "warmup_steps", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"recipe.{name} is {getattr(self, name):g}: it may not be negative")
        if len(self.betas) != 2 or not all(0 <= share < 1 for share in (*self.betas, self.ema_decay)):
            raise ConfigError("recipe.betas are two numbers in 0…1, and so is recipe.ema_decay (1 itself is not)")

    def steps(self, pairs: int) -> int:
        """How many steps the epochs are, over so many pairs: at least one."""
        return max(1, math.ceil(self.epochs * pairs / self.batch))


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How a training picture is varied. Never flipped: which side is which is what pictures are about."""

    crop_scale: tuple[float, float] = (0.8, 1.0)  # share of the area that is kept
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)  # width to height of what is kept
    trivial: bool = True  # TrivialAugmentWide (arXiv 2103.10158)
    erasing: float = 0.25  # chance that a rectangle is erased (arXiv 1708.04896)

    def __post_init__(self) -> None:
        for name, (low, high) in (("crop_scale", _two(self.crop_scale)), ("crop_ratio", _two(self.crop_ratio))):
            if not 0 < low <= high or (name == "crop_scale" and high > 1):
                raise ConfigError(f"augmentation.{name} is {low:g}…{high:g}: a rising range, of areas within 0…1")
        if not 0 <= self.erasing <= 1:
            raise ConfigError(f"augmentation.erasing is {self.erasing:g}: a chance lies in 0…1")


def _two(values: tuple[float, ...]) -> tuple[float, float]:
    if len(values) != 2:
        raise ConfigError(f"augmentation: {list(values)} is not a range [low, high]")
    return values[0], values[1]
