"""The two towers as graphs for other runtimes: whole, without Python, for a batch of any size.

    pixels [B, 3, H, W]                      → image graph → embeddings [B, D]
    input_ids, attention_mask int64 [B, L]   → text graph  → embeddings [B, D]

The model's own modules are traced: nothing of the mathematics is written twice.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from dualsight.model.dual import DualEncoder

MAX_BATCH = 4096


class _Images(nn.Module):
    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.image_encoder = model.image_encoder
        self.image_projection = model.image_projection

    def forward(self, pixels: Tensor) -> Tensor:
        return F.normalize(self.image_encoder.features(pixels) @ self.image_projection, dim=-1)


class _Texts(nn.Module):
    """Computes padding too: how many tokens there are is no longer known when a graph is drawn."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.lang_encoder = model.lang_encoder
        self.lang_projection = model.lang_projection

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.lang_encoder.hidden_states(input_ids, attention_mask)  # [B, L, C]
        last = input_ids.argmax(1)[:, None, None].expand(-1, 1, states.shape[2])  # the first end token
        return F.normalize(states.gather(1, last).squeeze(1) @ self.lang_projection, dim=-1)


def image_graph(model: DualEncoder, size: tuple[int, int]) -> ExportedProgram:
    """pixels float32 [B, 3, *size] → embeddings. Shares the model's weights."""
    pixels = torch.zeros(2, 3, *size)
    return _export(_Images(model), (pixels,), {"pixels": {0: Dim("batch", min=1, max=MAX_BATCH)}})


def text_graph(model: DualEncoder) -> ExportedProgram:
    """input_ids, attention_mask int64 [B, L], L up to the context length → embeddings. Shares the model's weights."""
    ids = torch.zeros(2, 3, dtype=torch.int64)
    shape = {0: Dim("batch", min=1, max=MAX_BATCH), 1: Dim("length", min=1, max=model.config.text.context_length)}
    return _export(_Texts(model), (ids, torch.ones_like(ids)), {"input_ids": shape, "attention_mask": shape})


def _export(module: nn.Module, inputs: tuple[Tensor, ...], shapes: dict[str, dict[int, Dim]]) -> ExportedProgram:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own, about itself
        return export(module.eval(), inputs, dynamic_shapes=shapes)
