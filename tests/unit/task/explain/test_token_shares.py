from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dualsight.task.explain.method import similarities
from dualsight.task.explain.token_shares import TokenShares
from dualsight.task.model import Model


def test_shares_add_up_to_the_similarity(model: Model, pixels: NDArray, direction: NDArray) -> None:
    heat = TokenShares()(model, pixels, direction)
    similarity = similarities(model, [pixels], direction)[0]
    assert abs(similarity) > 1e-3  # a sum of nothing would pass
    assert heat.values.sum(dtype=np.float64) + heat.rest == pytest.approx(similarity, abs=1e-5)


def test_shares_lie_on_the_last_grid(model: Model, pixels: NDArray, direction: NDArray) -> None:
    values = TokenShares()(model, pixels, direction).values
    side = model.config.dual.image_size[0]
    assert values.ndim == 2 and values.dtype == np.float32 and side // 64 <= values.shape[0] <= side // 16


def test_shares_of_the_demonstration_model_add_up(demo: Model) -> None:
    rng = np.random.default_rng(0)
    target = demo.encode_text(["ct abdomen axial kidney stone"])[0]
    for _ in range(3):
        pixels = rng.normal(size=(3, 112, 112)).astype(np.float32)
        heat = TokenShares()(demo, pixels, target)
        similarity = similarities(demo, [pixels], target)[0]
        assert heat.values.sum(dtype=np.float64) + heat.rest == pytest.approx(similarity, abs=1e-5)


def test_shares_change_sign_with_the_direction(model: Model, pixels: NDArray, direction: NDArray) -> None:
    heat, opposite = (TokenShares()(model, pixels, sign * direction) for sign in (np.float32(1), np.float32(-1)))
    np.testing.assert_allclose(heat.values, -opposite.values, atol=1e-7)
    assert heat.rest == pytest.approx(-opposite.rest)
