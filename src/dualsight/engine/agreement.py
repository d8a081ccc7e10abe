"""Whether another runtime computes what torch does: compared on smooth pictures, as real ones are."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from dualsight.engine.base import Engine
from dualsight.engine.torch import TorchEngine
from dualsight.errors import EngineError
from dualsight.model.dual import DualEncoder

TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-2}
"""Largest difference to torch's embeddings in float32 that is believed, by precision."""


def smooth_pixels(count: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """[count, 3, *size], drawn from a fixed seed: noise alone would hardly reach the last stages."""
    coarse = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return np.asarray(F.interpolate(coarse, size, mode="bicubic").numpy())


def check_images(engine: Engine, model: DualEncoder, size: tuple[int, int]) -> None:
    """Raises EngineError unless the engine's embedding of a picture is torch's, each number within the tolerance."""
    pixels = smooth_pixels(1, size)
    difference = float(np.abs(engine.encode_images(pixels) - TorchEngine(model).encode_images(pixels)).max())
    if not difference <= TOLERANCE[engine.precision]:
        raise EngineError(f"{engine.name}: embeddings differ from torch's by {difference:.1e}", hint="use engine torch")
