"""Both encoders as graphs for other runtimes: whole, without Python.

    pixels [B, 3, H, W]                         → image graph → embeddings [B, D]
    input_ids [B, L], attention_mask [B, L]     → text graph  → embeddings [B, D]

The model's own modules are traced: nothing of the mathematics is written twice.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.nn.attention import SDPBackend, sdpa_kernel

from dualsight.model.dual import DualEncoder

ANY = Dim.DYNAMIC


class _Images(nn.Module):
    """`DualEncoder.encode_image` as the `forward` that is traced."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.encode_image(pixels)


class _Texts(nn.Module):
    """`DualEncoder.encode_text` with its padding computed too: how much there is, no graph can know beforehand."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.model.lang_encoder.hidden_states(input_ids, attention_mask)  # [B, L, C]
        every = torch.arange(input_ids.shape[0], device=input_ids.device)
        features = states[every, input_ids.argmax(1)]  # [B, C], at the first end token
        return F.normalize(features @ self.model.lang_projection, dim=-1)


def image_graph(model: DualEncoder, size: tuple[int, int], *, any_batch: bool = False) -> ExportedProgram:
    """pixels float32 [1, 3, *size], or any number of them → embeddings. Shares the model's weights."""
    pixels = torch.zeros(2 if any_batch else 1, 3, *size)
    return _traced(_Images(model), {"pixels": pixels}, {"pixels": {0: ANY} if any_batch else {}})


def text_graph(model: DualEncoder) -> ExportedProgram:
    """input_ids and attention_mask, int64 [B, L], of any B and L up to the context → embeddings [B, D]."""
    tokens = torch.ones(2, 8, dtype=torch.int64)
    shapes = {0: ANY, 1: ANY}
    given = {"input_ids": tokens, "attention_mask": tokens.clone()}
    return _traced(_Texts(model), given, dict.fromkeys(given, shapes))


@contextmanager
def converting() -> Generator[None, None, None]:
    """While a graph is made or converted: attention is its products and softmax, and torch says nothing of itself."""
    with warnings.catch_warnings(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        warnings.simplefilter("ignore")
        yield


def decomposed(graph: ExportedProgram) -> ExportedProgram:
    """The same in torch's smallest operations; of attention no trace is left."""
    with converting():
        return graph.run_decompositions()


def _traced(module: nn.Module, given: dict[str, Tensor], shapes: dict[str, Any]) -> ExportedProgram:
    with converting():
        return export(module.eval(), (), given, dynamic_shapes=shapes)
