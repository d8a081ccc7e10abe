"""The training loop: batches in, a better model out.

Muon for the matrices inside the encoders (Jordan et al., 2024; torch.optim.Muon), AdamW for the rest (arXiv
1711.05101), warm-up and cosine (1608.03983), no decay on what is no matrix, clipped gradients, and a running mean of
the weights that is what one keeps (EMA).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dualsight.learn.loss import class_loss, unicl_loss
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
    bfloat16: bool = False  # autocast in the encoders; weights, loss and optimizer stay in float32


@dataclass(frozen=True, slots=True)
class Batch:
    """n pairs of a picture and a text, then the prompts of C classes. Pairs with equal labels are all positives."""

    pixels: Tensor  # float32 [n, 3, H, W], normalised
    input_ids: Tensor  # int64 [n + C, L]
    attention_mask: Tensor  # int64 [n + C, L]
    labels: Tensor  # int64 [n]
    classes: Tensor  # int64 [n], from 0; unused where C is 0


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


def optimizers(model: nn.Module, config: FitConfig) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for hidden matrices; AdamW for kernels and projections, and without decay for all that is no matrix:
    biases, norms, embeddings, depthwise convolutions and the scale.
    """
    hidden: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or "embedding" in name or ".dw." in name or "position" in name:
            free.append(parameter)
        elif parameter.ndim == 2 and "projection" not in name:
            hidden.append(parameter)
        else:
            decayed.append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return (
        torch.optim.Muon(hidden, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-8, fused=True),
    )


def fit(model: DualEncoder, batches: Iterable[Batch], config: FitConfig) -> Iterator[Step]:
    """Trains `model` in place, one yielded `Step` at a time; at the end its weights are their running mean.

    `batches` ends the training if it ends before `config.steps`.
    """
    model.train()
    steppers = optimizers(model, config)
    parameters: list[Tensor] = list(model.parameters())
    average = [parameter.detach().clone() for parameter in parameters]
    for index, batch in zip(range(config.steps), batches, strict=False):
        rate = learning_rate(index, config)
        loss = batch_loss(model, batch, bfloat16=config.bfloat16)
        for stepper in steppers:
            for group in stepper.param_groups:
                group["lr"] = rate
            stepper.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        for stepper in steppers:
            stepper.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
            torch._foreach_lerp_(average, parameters, 1 - min(config.ema_decay, (1 + index) / (10 + index)))
        yield Step(index, loss.item(), rate, model.logit_scale.item())
    with torch.no_grad():
        for parameter, mean in zip(parameters, average, strict=True):
            parameter.copy_(mean)
    model.eval()


def batch_loss(model: DualEncoder, batch: Batch, *, bfloat16: bool) -> Tensor:
    """UniCL over the pairs, and each picture among the prompts of all classes; a scalar."""
    n = len(batch.pixels)
    # Windows are short: plain attention's backward is several times as fast as the fused kernel's on a CPU in bfloat16.
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16), sdpa_kernel(SDPBackend.MATH):
        images = model.encode_image(batch.pixels).float()  # [n, D]
        texts = model.encode_text(batch.input_ids, batch.attention_mask).float()  # [n + C, D]
    loss = unicl_loss(images, texts[:n], batch.labels, model.logit_scale)
    if len(texts) > n:
        loss = loss + class_loss(images, texts[n:], batch.classes, model.logit_scale)
    return loss
