"""Where a finding is, told to a middle stage while the encoder trains: deep supervision (Lee et al., arXiv 1409.5185).

    pixels ─▶ stages 1 … k ─┬─▶ … ─▶ embedding ─▶ the pairs' loss ────────────────────┐
                            └─▶ tokens ─▶ linear layer ─▶ class of each cell ─▶ loss ─┴─▶ sum

An embedding says late and faintly in which of its tokens a small finding lies. The linear layer is forgotten when
training ends: a checkpoint has the architecture's weights and no others.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from dualsight.learn.train.loop import Batch, pair_loss
from dualsight.model.dual import DualEncoder


@dataclass(frozen=True, slots=True)
class PlacedBatch(Batch):
    """A batch that knows where its findings are. Cells are a stage's tokens, N of them."""

    found: Tensor  # bool [n, N]: whether any of the finding is in the cell
    cells: Tensor  # int64 [n, N]: the class of each


class DeepSupervision:
    """The loss of `fit` for PlacedBatches."""

    def __init__(self, head: nn.Linear) -> None:
        self.head = head
        self.tokens: Tensor | None = None  # [n, N, C], of the last pictures encoded

    def loss(self, images: Tensor, texts: Tensor, logit_scale: Tensor, batch: Batch) -> Tensor:
        """The pairs' loss and that of the cells, with and without a finding half each; a scalar."""
        placed, tokens = cast("PlacedBatch", batch), cast("Tensor", self.tokens)
        normed = F.layer_norm(tokens.float(), tokens.shape[-1:])
        wrong = F.cross_entropy(self.head(normed).flatten(0, 1), placed.cells.flatten(), reduction="none")
        found = placed.found.flatten()
        shares = found / found.sum().clamp(min=1) + ~found / (~found).sum().clamp(min=1)
        return pair_loss(images, texts, logit_scale, batch) + (wrong * shares).sum() / 2


@contextmanager
def supervised(model: DualEncoder, stage: int, classes: int) -> Generator[DeepSupervision, None, None]:
    """Within it the model carries the linear layer, so that it is trained too. stage: which, from 0."""
    pairs = cast("nn.ModuleList", cast("nn.ModuleList", model.image_encoder.blocks)[stage])
    made = DeepSupervision(nn.Linear(model.config.image.widths[stage], classes))

    def keep(module: nn.Module, given: object, tokens: Tensor) -> None:
        made.tokens = tokens

    hook = pairs[-1].register_forward_hook(keep)
    model.add_module("cell_projection", made.head)
    try:
        yield made
    finally:
        hook.remove()
        del model.cell_projection
