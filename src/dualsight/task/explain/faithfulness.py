"""Does a heat map say what the model does? Deletion and insertion curves, and a check with the weights shuffled."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from dualsight.engine.torch import TorchEngine
from dualsight.task.explain.method import Map, Vector, similarities
from dualsight.task.explain.occlusion import blur
from dualsight.task.model import Model

STEPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Areas under two curves of similarity (arXiv 1806.07421), while pixels change from the hottest to the coldest.

    deletion: the picture is blurred away; the lower, the more the hottest pixels mattered. insertion: the blurred
    picture becomes sharp; the higher, the better. Both are scaled so that the blurred picture is 0 and the whole
    one 1; where they do not differ, so that nothing can be scaled, both are NaN.
    """

    deletion: float
    insertion: float


def curves(model: Model, pixels: NDArray[np.float32], direction: Vector, values: Map) -> Curves:
    """The areas for normalised pixels [3, H, W] in the order of `values` [H, W], in steps of a twentieth."""
    blurred = blur(pixels)
    order = np.argsort(-values, axis=None, kind="stable")

    def mixed(start: NDArray[np.float32], end: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        picture = start.reshape(3, -1).copy()
        yield picture.reshape(start.shape).copy()
        for part in np.array_split(order, STEPS):
            picture[:, part] = end.reshape(3, -1)[:, part]
            yield picture.reshape(start.shape).copy()

    falling = similarities(model, mixed(pixels, blurred), direction)
    rising = similarities(model, mixed(blurred, pixels), direction)
    whole, gone = falling[0], falling[-1]
    if whole <= gone:
        return Curves(deletion=float("nan"), insertion=float("nan"))
    deletion, insertion = (_area((curve - gone) / (whole - gone)) for curve in (falling, rising))
    return Curves(deletion=deletion, insertion=insertion)


def _area(curve: NDArray[np.float64]) -> float:
    """Under a curve over 0…1, by trapezes."""
    return float((curve[1:] + curve[:-1]).mean() / 2)


def with_shuffled_weights(model: Model, seed: int) -> Model:
    """The model with each weight tensor of its image encoder shuffled: the sanity check of arXiv 1810.03292.

    It knows nothing any more, while its weights' sizes are as they were. An explanation of what a model has learnt
    must then change; one of edges in the picture does not. Texts are embedded as before.
    """
    generator = torch.Generator().manual_seed(seed)
    dual = copy.deepcopy(model.checkpoint.model)
    with torch.no_grad():
        for parameter in dual.image_encoder.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return Model(replace(model.checkpoint, load_model=lambda: dual), TorchEngine(dual, str(dual.logit_scale.device)))


def rank_correlation(one: Map, other: Map) -> float:
    """Spearman's, -1…1, of two maps of one shape; 0 where one of them is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(stats.spearmanr(one, other, axis=None).statistic)
