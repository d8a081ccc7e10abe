"""The text encoder: CLIP's transformer (Radford et al., arXiv 2103.00020), with a causal or a padding mask.

B texts, L tokens (the batch's longest, never more than the context), C width, h heads, d = C/h; T tokens of
all texts together, without padding. Everything but attention itself works on these T rows.
Attribute names are the official checkpoint's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualsight.model.config import TextConfig


class LayerNorm(nn.Module):
    """Normalisation in float32 whatever the input's type, with the reference's eps of 1e-12."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """[…, C] → […, C]."""
        wide = F.layer_norm(tokens.float(), self.weight.shape, eps=1e-12).to(tokens.dtype)
        return self.weight * wide + self.bias


class Batch(NamedTuple):
    """Which of a batch's B × L places hold the T tokens that are computed, and who may attend to whom."""

    places: Tensor  # int64 [T], into B·L
    shape: tuple[int, int]  # B, L
    mask: Tensor  # bool, broadcast to [B, h, L, L]; True: may be attended to

    def spread(self, rows: Tensor) -> Tensor:
        """[T, C] → [B, L, C], zeros elsewhere."""
        texts, length = self.shape
        if len(rows) == texts * length:
            return rows.unflatten(0, self.shape)
        whole = rows.new_zeros(texts * length, rows.shape[1])
        return whole.index_copy(0, self.places, rows).unflatten(0, self.shape)

    def gather(self, whole: Tensor) -> Tensor:
        """[B, L, C] → [T, C]."""
        rows = whole.flatten(0, 1)
        return rows if len(self.places) == len(rows) else rows[self.places]


class SelfAttention(nn.Module):
    """Multi-head attention with the parameter names of torch's own module."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, tokens: Tensor, batch: Batch) -> Tensor:
        """[T, C] → [T, C]."""
        qkv = batch.spread(F.linear(tokens, self.in_proj_weight, self.in_proj_bias))  # [B, L, 3·C]
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each [B, h, L, d]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=batch.mask)
        return self.out_proj(batch.gather(mixed.transpose(1, 2).flatten(2)))


class QuickGeluMlp(nn.Module):
    """c_proj(QuickGELU(c_fc(x))) with QuickGELU(x) = x·σ(1.702x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[…, C] → […, C]."""
        hidden = self.c_fc(tokens)
        return self.c_proj(hidden * torch.sigmoid(1.702 * hidden))


class ResidualAttentionBlock(nn.Module):
    """x += attention(LN(x)); x += MLP(LN(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = SelfAttention(width, heads)
        self.ln_1 = LayerNorm(width)
        self.mlp = QuickGeluMlp(width)
        self.ln_2 = LayerNorm(width)

    def forward(self, tokens: Tensor, batch: Batch) -> Tensor:
        """[T, C] → [T, C]."""
        tokens = tokens + self.attn(self.ln_1(tokens), batch)
        return tokens + self.mlp(self.ln_2(tokens))


class TextTransformer(nn.Module):
    """Token ids [B, L] and their mask to hidden states [B, L, C] or to the pooled feature [B, C]."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.resblocks = nn.ModuleList(ResidualAttentionBlock(config.width, config.heads) for _ in range(config.layers))
        self.ln_final = LayerNorm(config.width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)

    def hidden_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64 [B, L], attention_mask [B, L] (0: padding) → [B, L, C], padding computed too."""
        every = torch.arange(input_ids.numel(), device=input_ids.device)
        return self._states(input_ids, attention_mask, every).unflatten(0, tuple(input_ids.shape))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The state at the first end token (the largest id): [B, C]. Padding never reaches it, so none is computed."""
        kept = attention_mask.flatten().nonzero().squeeze(1)  # [T], rising
        states = self._states(input_ids, attention_mask, kept)
        starts = torch.arange(len(input_ids), device=input_ids.device) * input_ids.shape[1]
        return states[torch.searchsorted(kept, starts + input_ids.argmax(1))]  # argmax: the first of equal maxima

    def _states(self, input_ids: Tensor, attention_mask: Tensor, places: Tensor) -> Tensor:
        """States [T, C] of the tokens at `places` of the batch."""
        length = input_ids.shape[1]
        if self.config.autoregressive:
            mask = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
        else:
            mask = attention_mask.bool()[:, None, None, :]
        batch = Batch(places, (input_ids.shape[0], length), mask)
        positions = torch.arange(length, device=input_ids.device).repeat(input_ids.shape[0])  # [B·L]
        tokens = self.token_embedding(input_ids.flatten()[places]) + self.positional_embedding[positions[places]]
        for block in self.resblocks:
            tokens = block(tokens, batch)
        return self.ln_final(tokens)
