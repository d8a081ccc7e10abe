"""Eight short texts at their own length, beside the same padded to 77 as the reference does it; then from memory.

.venv/bin/python benchmarks/text.py FOLDER      # FOLDER as for benchmarks/load.py
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from load import make

import dualsight

TEXTS = [
    "x-ray chest anteroposterior Pneumonia",
    "x-ray chest anteroposterior No Finding",
    "mri brain axial t2",
    "ct abdomen axial",
    "lumbar spine",
    "chest",
    "fundus retina",
    "desktop",
]
PAIRS = 5


def seconds(compute: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    compute()
    return time.perf_counter() - start


def main() -> None:
    """Five pairs in one process, order alternating."""
    model = dualsight.load(make(Path(sys.argv[1])))
    tokenizer, engine, encoder = model.checkpoint.tokenizer, model.engine, model.checkpoint.model

    def own_length() -> np.ndarray:
        tokens = tokenizer(TEXTS)
        return engine.encode_texts(tokens.input_ids, tokens.attention_mask)

    @torch.inference_mode()
    def padded() -> np.ndarray:
        """Every one of 8 × 77 places computed, as the reference does."""
        tokens = tokenizer(TEXTS, pad_to=77)
        ids, mask = torch.from_numpy(tokens.input_ids), torch.from_numpy(tokens.attention_mask)
        hidden = encoder.lang_encoder.hidden_states(ids, mask)  # [8, 77, C]
        pooled = hidden[torch.arange(len(TEXTS)), ids.argmax(1)]
        return F.normalize(pooled @ encoder.lang_projection, dim=-1).numpy()

    print(f"largest difference {np.abs(own_length() - padded()).max():.1e}")
    ratios = []
    for i in range(PAIRS):
        order = (own_length, padded) if i % 2 else (padded, own_length)
        times = {compute: seconds(compute) for compute in order}
        ratios.append(times[padded] / times[own_length])
        print(f"own length {times[own_length]:.3f} s   padded {times[padded]:.3f} s   ratio {ratios[-1]:.1f}")
    print(f"median ratio {statistics.median(ratios):.1f}")
    model.encode_text(TEXTS)
    print(f"seen before: {1000 * seconds(lambda: model.encode_text(TEXTS)):.3f} ms")


if __name__ == "__main__":
    main()
