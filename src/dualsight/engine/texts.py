"""The text tower in torch, beside a runtime that computes pictures alone: it packs texts, which a graph cannot."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dualsight.engine.torch import TorchEngine
    from dualsight.model.dual import DualEncoder


class TextsByTorch:
    """Texts in float32. The model is loaded, and torch imported, with the first of them."""

    def __init__(self, load_model: Callable[[], DualEncoder]) -> None:
        self._load_model = load_model

    @cached_property
    def _torch(self) -> TorchEngine:
        from dualsight.engine.torch import TorchEngine

        return TorchEngine(self._load_model())

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Token ids [B, L] and their mask → embeddings [B, D] of unit length."""
        return self._torch.encode_texts(input_ids, attention_mask)
