"""Gradients at the stages, held against finite differences and against captum's hooks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradientXActivation
from numpy.typing import NDArray

from dualsight.model.davit import DaViT
from dualsight.task.explain.gradients import stage_gradients
from dualsight.task.model import Model


def test_gradient_times_activation_is_captums(model: Model, pixels: NDArray, direction: NDArray) -> None:
    dual = model.checkpoint.model
    encoder = dual.image_encoder
    batch, target = torch.from_numpy(pixels)[None], torch.from_numpy(direction)
    last_blocks = (
        [s[-1] for s in encoder.blocks] if isinstance(encoder, DaViT) else [s.blocks[-1] for s in encoder.layers]
    )
    for stage, block in zip(stage_gradients(dual, batch, target)[1:], last_blocks, strict=True):
        captum = LayerGradientXActivation(lambda x: dual.encode_image(x) @ target, block)
        expected = captum.attribute(batch)
        torch.testing.assert_close(stage.tokens * stage.gradient, expected.detach(), atol=1e-6, rtol=1e-4)


def test_gradients_are_those_of_finite_differences(model: Model, pixels: NDArray, direction: NDArray) -> None:
    dual = model.checkpoint.model
    last = stage_gradients(dual, torch.from_numpy(pixels)[None], torch.from_numpy(direction))[-1]
    step = torch.randn(last.tokens.shape, generator=torch.Generator().manual_seed(0)) * 1e-3

    def similarity(tokens: torch.Tensor) -> float:
        embedding = torch.nn.functional.normalize(dual.image_encoder.pool(tokens) @ dual.image_projection, dim=-1)
        return float(embedding[0].double() @ torch.from_numpy(direction).double())

    with torch.no_grad():
        change = similarity(last.tokens + step) - similarity(last.tokens - step)
    assert change == pytest.approx(2 * float((last.gradient * step).sum()), rel=0.05, abs=1e-7)


def test_pictures_of_a_batch_are_independent(model: Model, pixels: NDArray, direction: NDArray) -> None:
    dual, target = model.checkpoint.model, torch.from_numpy(direction)
    both = torch.from_numpy(np.stack([pixels, pixels[:, :, ::-1].copy()]))
    together = stage_gradients(dual, both, target)
    alone = stage_gradients(dual, both[1:], target)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.gradient[1:], b.gradient, atol=1e-6, rtol=1e-3)
