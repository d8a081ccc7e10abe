"""The training loop: batches in, a better model out.

AdamW with warm-up and cosine (arXiv 1711.05101, 1608.03983), no decay on what is no matrix, clipped
gradients, and a running mean of the weights that is what one keeps (EMA).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualsight.learn.loss import unicl_loss
from dualsight.model.dual import DualEncoder

MAX_LOGIT_SCALE = math.log(100.0)  # as in CLIP: the scale may not run away


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How to train. Learning rates are peaks; decays are per step."""

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema_decay: float = 0.995


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of a picture and a text. Pairs with equal labels are all positives of one another (UniCL)."""

    pixels: Tensor  # float32 [B, 3, H, W], normalised
    input_ids: Tensor  # int64 [B, L]
    attention_mask: Tensor  # int64 [B, L]
    labels: Tensor  # int64 [B]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    index: int
    loss: float
    learning_rate: float
    logit_scale: float


def learning_rate(step: int, config: FitConfig) -> float:
    """Linear warm-up, then a half cosine to nothing."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices and kernels decay; biases, norms, embeddings, depthwise convolutions and the scale do not."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        kept = parameter.ndim < 2 or "embedding" in name or ".dw." in name or "position" in name
        (free if kept else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def fit(model: DualEncoder, batches: Iterable[Batch], config: FitConfig) -> Iterator[Step]:
    """Trains `model` in place, one yielded `Step` at a time; at the end its weights are their running mean.

    `batches` ends the training if it ends before `config.steps`.
    """
    model.train()
    optimizer = torch.optim.AdamW(parameter_groups(model, config.weight_decay), betas=(0.9, 0.98), eps=1e-8)
    average = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for index, batch in zip(range(config.steps), batches, strict=False):
        rate = learning_rate(index, config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        images = model.encode_image(batch.pixels)
        texts = model.encode_text(batch.input_ids, batch.attention_mask)
        loss = unicl_loss(images, texts, batch.labels, model.logit_scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
            decay = min(config.ema_decay, (1 + index) / (10 + index))
            for name, parameter in model.named_parameters():
                average[name].lerp_(parameter, 1 - decay)
        yield Step(index, loss.item(), rate, model.logit_scale.item())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(average[name])
    model.eval()
