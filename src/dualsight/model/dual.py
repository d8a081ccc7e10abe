"""The dual encoder: two towers, two projections, one space (UniCL, Yang et al., arXiv 2204.03610).

pixels [B, 3, H, W] → image_encoder → features [B, F] → @ image_projection → unit length → [B, D]
ids    [B, L]       → lang_encoder  → features [B, W] → @ lang_projection  → unit length → [B, D]
logits = exp(logit_scale) · image · textᵀ
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualsight.model.config import CoSwinConfig, DaViTConfig, DualConfig, ImageEncoderConfig
from dualsight.model.coswin import CoSwin
from dualsight.model.davit import DaViT
from dualsight.model.transformer import TextTransformer


def image_encoder(config: ImageEncoderConfig) -> DaViT | CoSwin:
    """The encoder that a configuration describes, with random weights."""
    match config:
        case DaViTConfig():
            return DaViT(config)
        case CoSwinConfig():
            return CoSwin(config)


class DualEncoder(nn.Module):
    """Image and text encoder with their projections. In evaluation mode until `.train()` is called."""

    def __init__(self, config: DualConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = image_encoder(config.image)
        self.lang_encoder = TextTransformer(config.text)
        self.image_projection = nn.Parameter(torch.empty(config.image.feature_width, config.projection))
        self.lang_projection = nn.Parameter(torch.empty(config.text.width, config.projection))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        nn.init.trunc_normal_(self.image_projection, std=0.02)
        nn.init.trunc_normal_(self.lang_projection, std=0.02)
        self.eval()

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Normalised pixels [B, 3, H, W] → embeddings [B, D] of unit length."""
        return F.normalize(self.image_encoder.features(pixels) @ self.image_projection, dim=-1)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64 [B, L] and mask → embeddings [B, D] of unit length."""
        return F.normalize(self.lang_encoder(input_ids, attention_mask) @ self.lang_projection, dim=-1)

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits [images, texts]."""
        images = self.encode_image(pixels)
        texts = self.encode_text(input_ids, attention_mask)
        return self.logit_scale.exp() * images @ texts.T
