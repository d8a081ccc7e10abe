"""Tokens of every stage, and the gradient of a similarity for them: what the methods with gradients are made of.

No hooks and no library: an encoder gives its stages' tokens itself, and torch differentiates with respect to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dualsight.errors import ConfigError
from dualsight.model.dual import DualEncoder
from dualsight.model.layers import Grid, to_tokens


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageGradient:
    """A stage's last tokens and the gradient of the similarity for them, both [B, H·W, C]; their grid (H, W)."""

    tokens: Tensor
    gradient: Tensor
    grid: Grid


@torch.enable_grad()
def stage_gradients(dual: DualEncoder, pixels: Tensor, direction: Tensor) -> tuple[StageGradient, ...]:
    """The pixels as stage 0, then every stage, for normalised pixels [B, 3, H, W] and a direction [D].

    The pictures of a batch do not touch one another.
    """
    pixels = pixels.detach().clone().requires_grad_()
    stages = dual.image_encoder.stages(pixels)
    features = dual.image_encoder.pool(stages[-1].tokens) @ dual.image_projection
    similarity = torch.nn.functional.normalize(features, dim=-1) @ direction  # [B]
    tokens = [pixels, *(stage.tokens for stage in stages)]
    gradients = torch.autograd.grad(similarity.sum(), tokens)
    grids = [(pixels.shape[-2], pixels.shape[-1]), *(stage.grid for stage in stages)]
    return tuple(
        StageGradient(tokens=_as_tokens(token), gradient=_as_tokens(gradient), grid=grid)
        for token, gradient, grid in zip(tokens, gradients, grids, strict=True)
    )


def tokens_of(dual: DualEncoder, pixels: Tensor) -> list[Tensor]:
    """Tokens alone, [B, H·W, C] each: the pixels [B, 3, H, W], then those of every stage."""
    return [to_tokens(pixels), *(stage.tokens for stage in dual.image_encoder.stages(pixels))]


def _as_tokens(values: Tensor) -> Tensor:
    return to_tokens(values.detach()) if values.ndim == 4 else values.detach()


def check_stage(stage: int, n: int) -> None:
    """Raises ConfigError unless there is a stage of that number, from 1."""
    if not 1 <= stage <= n:
        raise ConfigError(f"no stage {stage}", hint=f"this encoder has stages 1 to {n}")
