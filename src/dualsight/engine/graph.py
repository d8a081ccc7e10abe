"""The image tower as a graph for other runtimes: whole, without Python, for one picture of one size.

    pixels [1, 3, H, W] → image graph → embedding [1, D]

The model's own modules are traced: nothing of the mathematics is written twice.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram, export

from dualsight.model.dual import DualEncoder


class _Images(nn.Module):
    """`DualEncoder.encode_image` as the `forward` that is traced."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.encode_image(pixels)


def image_graph(model: DualEncoder, size: tuple[int, int]) -> ExportedProgram:
    """pixels float32 [1, 3, *size] → embedding. Shares the model's weights."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own, about itself
        return export(_Images(model).eval(), (torch.zeros(1, 3, *size),))
