"""Integrated gradients share out a difference of similarities over the pixels, all of it, and as captum's do."""

from __future__ import annotations

import pytest
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray

from dualsight.task.explain.method import similarities
from dualsight.task.explain.multi_scale import shares, without_detail
from dualsight.task.model import Model

N = 64  # points on the way
WAY = (torch.arange(N) + 0.5) / N


def test_the_pixels_share_out_what_detail_adds(model: Model, pixels: NDArray, direction: NDArray) -> None:
    start = without_detail(pixels, 0.08)
    whole, without = similarities(model, [pixels, start], direction)
    x, b = (torch.from_numpy(picture).expand(N, -1, -1, -1) for picture in (pixels, start))
    maps = shares(model.checkpoint.model, x, b, WAY, torch.from_numpy(direction), (0,)).mean(1)
    assert abs(whole - without) > 1e-3
    assert maps[0].sum().item() == pytest.approx(whole - without, rel=0.02)  # exact for the pixels, on a straight way


def test_pixels_are_shared_as_by_captum(model: Model, pixels: NDArray, direction: NDArray) -> None:
    dual, target, start = model.checkpoint.model, torch.from_numpy(direction), without_detail(pixels, None)
    x, b = (torch.from_numpy(picture).expand(N, -1, -1, -1) for picture in (pixels, start))
    ours = shares(dual, x, b, WAY, target, (0,)).mean(1)[0]
    captum = IntegratedGradients(lambda batch: dual.encode_image(batch) @ target)
    theirs = captum.attribute(x[:1], b[:1], n_steps=N, internal_batch_size=N, method="riemann_middle")[0].sum(0)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)
