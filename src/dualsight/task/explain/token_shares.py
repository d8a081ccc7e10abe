"""Each last token's exact share of the similarity: mean over tokens, norm and projection taken apart.

    tokens [N, C] ──pool──▶ features [C] ──@ P──▶ [D] ──/ length──▶ embedding e,   similarity = e · t

All but the norm's statistics and the length is linear. With these held at their actual values the similarity is a sum
over tokens, and of the norm's bias β, which belongs to no token: it is the heat's `rest`.

    DaViT   features = γ · (m - mean m) / σ(m) + β,  m = mean of tokens x      share = γ · (x - mean x) / σ(m) @ P t / N
    CoSwin  features = mean of γ · (x - mean x) / σ(x) + β over tokens x       share = γ · (x - mean x) / σ(x) @ P t / N

each divided by the embedding's length before it is normalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dualsight.model.coswin import CoSwin
from dualsight.model.davit import DaViT
from dualsight.task.explain.method import Heat, Vector
from dualsight.task.model import Model


@dataclass(frozen=True, slots=True)
class TokenShares:
    """Shares of the last stage's tokens; values and rest add up to the similarity."""

    @torch.inference_mode()
    def __call__(self, model: Model, pixels: NDArray[np.float32], direction: Vector) -> Heat:
        """Heat in similarity per token, on the last stage's grid."""
        dual = model.checkpoint.model
        batch = torch.from_numpy(pixels)[None].to(dual.logit_scale.device)
        last = dual.image_encoder.stages(batch)[-1]
        length = (dual.image_encoder.pool(last.tokens) @ dual.image_projection).norm()
        weights = dual.image_projection @ torch.from_numpy(direction).to(batch.device) / length  # [C]
        normed, bias = _normed(dual.image_encoder, last.tokens)
        shares = (normed @ weights / normed.shape[1])[0].unflatten(0, last.grid)  # [h, w]
        return Heat(
            values=np.asarray(shares.float().cpu().numpy(), np.float32),
            unit="similarity per token",
            rest=float(bias @ weights),
        )


def _normed(encoder: DaViT | CoSwin, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens [1, N, C] under the pooling's norm without its bias, which comes beside them, [C]."""
    if isinstance(encoder, CoSwin):
        norm = encoder.norm
        return F.layer_norm(tokens, norm.normalized_shape, norm.weight, None, norm.eps), norm.bias
    norm = encoder.norms
    sigma = (tokens.mean(1, keepdim=True).var(-1, correction=0, keepdim=True) + norm.eps).sqrt()  # [1, 1, 1]
    return (tokens - tokens.mean(-1, keepdim=True)) / sigma * norm.weight, norm.bias
