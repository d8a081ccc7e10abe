"""Grad-CAM on the tokens of one stage (Selvaraju et al., arXiv 1610.02391)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dualsight.task.explain.gradients import check_stage, stage_gradients
from dualsight.task.explain.method import Heat, Vector
from dualsight.task.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class GradCam:
    """Channels of a stage (from 1), each weighted by the mean of its gradient over the picture.

    The paper keeps what is positive; here the sign stays: what is negative speaks against the direction.
    """

    stage: int = 3

    def __call__(self, model: Model, pixels: NDArray[np.float32], direction: Vector) -> Heat:
        """Heat in similarity per token, to first order. Raises ConfigError for a stage that the encoder has not."""
        dual = model.checkpoint.model
        check_stage(self.stage, len(model.config.dual.image.depths))
        device = dual.logit_scale.device
        batch, target = torch.from_numpy(pixels)[None].to(device), torch.from_numpy(direction).to(device)
        stage = stage_gradients(dual, batch, target)[self.stage]
        weights = stage.gradient.mean(dim=1, keepdim=True)  # [1, 1, C]
        values = (stage.tokens * weights).sum(-1)[0].unflatten(0, stage.grid)  # [h, w]
        return Heat(values=np.asarray(values.cpu().numpy(), np.float32), unit="similarity per token, to first order")
