"""Which parameter is moved by which rule, and how far at each step.

Muon for the matrices inside the encoders (Jordan et al., 2024; torch.optim.Muon) where a recipe asks for it, AdamW
(arXiv 1711.05101) for the rest. Warm-up and cosine (1608.03983). No decay on what is no matrix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from dualsight.learn.train.recipe import Recipe

Parameters = list[nn.Parameter]


def learning_rate(step: int, recipe: Recipe, steps: int) -> float:
    """Linear warm-up to the peak, then a half cosine down; `step` counts from 0."""
    floor, span = recipe.final_learning_rate, recipe.learning_rate - recipe.final_learning_rate
    if step < recipe.warmup_steps:
        return floor + span * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, steps - recipe.warmup_steps)
    return floor + span * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def optimizers(parameters: Mapping[str, nn.Parameter], recipe: Recipe) -> tuple[torch.optim.Optimizer, ...]:
    """AdamW with and without decay; before it Muon, where the recipe says so and there are matrices for it."""
    hidden, decayed, free = _split(parameters, muon=recipe.optimizer == "muon")
    groups = [
        {"params": alike, "weight_decay": decay}
        for chosen, decay in ((decayed, recipe.weight_decay), (free, 0.0))
        for alike in by_kind(chosen)
    ]
    made: list[torch.optim.Optimizer] = []
    if hidden:
        made.append(torch.optim.Muon(hidden, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"))
    if groups:
        made.append(torch.optim.AdamW(groups, betas=recipe.betas, eps=1e-8, fused=True))
    return tuple(made)


def by_kind(parameters: Parameters) -> list[Parameters]:
    """Those shared out among processes, and those that each has whole: torch computes with them apart."""
    shared = {id(parameter) for parameter in parameters if isinstance(parameter, DTensor)}
    kinds = ([p for p in parameters if id(p) in shared], [p for p in parameters if id(p) not in shared])
    return [kind for kind in kinds if kind]


def _split(parameters: Mapping[str, nn.Parameter], *, muon: bool) -> tuple[Parameters, Parameters, Parameters]:
    """Hidden matrices for Muon; what else decays; and what does not: biases, norms, embeddings, depthwise
    convolutions and the scale.
    """
    hidden: Parameters = []
    decayed: Parameters = []
    free: Parameters = []
    for name, parameter in parameters.items():
        if parameter.ndim < 2 or "embedding" in name or ".dw." in name or "position" in name:
            free.append(parameter)
        elif muon and parameter.ndim == 2 and "projection" not in name:
            hidden.append(parameter)
        else:
            decayed.append(parameter)
    return hidden, decayed, free
