from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dualsight.task.explain.faithfulness import curves, rank_correlation, with_shuffled_weights
from dualsight.task.explain.grad_cam import GradCam
from dualsight.task.model import Model


class Bright:
    """An engine whose one number is the mean of the left half of the picture."""

    name = "left half"

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return pixels[:, :, :, : pixels.shape[3] // 2].mean(axis=(1, 2, 3))[:, None]


def test_curves_tell_a_good_order_from_a_bad_one(model: Model) -> None:
    seeing_left = Model(model.checkpoint, Bright())  # type: ignore[arg-type]  # one method is all that is asked of it
    pixels = np.zeros((3, 32, 32), np.float32)
    pixels[:, 8:24, 4:12] = 1
    good, bad = np.zeros((2, 32, 32), np.float32)
    good[8:24, 4:12] = 1
    bad[:, 16:] = 1
    right, wrong = (curves(seeing_left, pixels, np.ones(1, np.float32), values) for values in (good, bad))
    assert right.deletion < 0.5 < wrong.deletion
    assert wrong.insertion < right.insertion


def test_curves_without_a_scale_are_nan(model: Model) -> None:
    seeing_left = Model(model.checkpoint, Bright())  # type: ignore[arg-type]
    area = curves(
        seeing_left, np.zeros((3, 32, 32), np.float32), np.ones(1, np.float32), np.zeros((32, 32), np.float32)
    )
    assert math.isnan(area.deletion) and math.isnan(area.insertion)


def test_shuffled_weights_leave_the_model_alone(model: Model, pixels: NDArray, direction: NDArray) -> None:
    before = {name: tensor.clone() for name, tensor in model.checkpoint.model.state_dict().items()}
    shuffled = with_shuffled_weights(model, seed=1)
    for name, tensor in model.checkpoint.model.state_dict().items():
        assert torch.equal(tensor, before[name])
        other = shuffled.checkpoint.model.state_dict()[name]
        torch.testing.assert_close(other.flatten().sort().values, tensor.flatten().sort().values)
    assert np.array_equal(shuffled.encode_text("a"), model.encode_text("a"))
    one, other, again = (
        GradCam()(m, pixels, direction).values for m in (model, shuffled, with_shuffled_weights(model, seed=1))
    )
    assert np.array_equal(other, again) and not np.allclose(one, other)


def test_rank_correlation() -> None:
    values = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert rank_correlation(values, np.zeros((8, 8), np.float32)) == 0
