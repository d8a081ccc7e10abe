"""A dual encoder that trains in milliseconds: 16 × 16 pixels, one stage of a 4 × 4 grid, a vocabulary of 16 words."""

from __future__ import annotations

from dualsight.model.config import DaViTConfig, DualConfig, TextConfig

TINY = DualConfig(
    image=DaViTConfig(widths=(8,), depths=(1,), heads=(2,), groups=(2,), patch_size=(4,), patch_stride=(4,),
                      patch_padding=(0,), patch_prenorm=(False,), window=4),
    text=TextConfig(width=8, heads=2, layers=1, vocabulary=16, context_length=4, autoregressive=False),
    projection=8,
    image_size=(16, 16),
)  # fmt: skip
