"""One 480×480 picture in float32, beside transformers' Florence2VisionBackbone of the same configuration.

    make test-full                                  # once: installs the group `bench`
    .venv/bin/python benchmarks/image.py FOLDER     # FOLDER as for benchmarks/load.py

Both compute the same weights (the peer's keys are ours, renamed), in turn in one process, five pairs; the
outputs must agree. Prints seconds of each pair, their ratios, and the median ratio.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from load import make
from torch import Tensor, nn

from dualsight.checkpoint.load import load_checkpoint
from dualsight.model.davit import DaViT

PAIRS = 5


def peer_of(encoder: DaViT) -> nn.Module:
    """The peer with our encoder's own tensors."""
    from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig
    from transformers.models.florence2.modeling_florence2 import Florence2VisionBackbone

    config = Florence2VisionConfig(
        depths=encoder.config.depths,
        embed_dim=encoder.config.widths,
        num_heads=encoder.config.heads,
        num_groups=encoder.config.groups,
        window_size=encoder.config.window,
        drop_path_rate=0.0,
    )
    with torch.device("meta"):
        peer = Florence2VisionBackbone(config).eval()
    renamed = {_peer_key(key): value for key, value in encoder.state_dict().items() if not key.startswith("norms.")}
    peer.load_state_dict(renamed, assign=True, strict=True)
    return peer


def _peer_key(key: str) -> str:
    for pattern, replacement in (
        (r"convs\.(\d)\.proj", r"convs.\1.conv"),
        (r"\.conv(\d)\.fn\.dw", r".conv\1"),
        (r"\.(window|channel)_attn\.fn\.", r".\1_attn."),
        (r"\.(window|channel)_attn\.norm\.", ".norm1."),
        (r"\.ffn\.norm\.", ".norm2."),
        (r"\.ffn\.fn\.net\.", ".ffn."),
    ):
        key = re.sub(pattern, replacement, key)
    return key


def seconds(compute: Callable[[Tensor], Tensor], pixels: Tensor) -> tuple[float, Tensor]:
    """Wall time of one call, and what it returned."""
    start = time.perf_counter()
    out = compute(pixels)
    return time.perf_counter() - start, out


@torch.inference_mode()
def main() -> None:
    """Loads once, warms both, then measures in pairs."""
    encoder = load_checkpoint(make(Path(sys.argv[1]))).model.image_encoder
    assert isinstance(encoder, DaViT)
    peer = peer_of(encoder)
    pixels = torch.randn(1, 3, 480, 480, generator=torch.Generator().manual_seed(0))

    def ours(pixels: Tensor) -> Tensor:
        return encoder.stages(pixels.contiguous(memory_format=torch.channels_last))[-1].tokens

    def theirs(pixels: Tensor) -> Tensor:
        out = peer(pixels)
        out = out if isinstance(out, Tensor) else out.last_hidden_state
        return out.flatten(2).transpose(1, 2) if out.ndim == 4 else out

    difference = float((ours(pixels) - theirs(pixels)).abs().max())
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; largest difference {difference:.1e}")
    ratios = []
    for i in range(PAIRS):
        order = (ours, theirs) if i % 2 else (theirs, ours)
        times = {compute: seconds(compute, pixels)[0] for compute in order}
        ratios.append(times[ours] / times[theirs])
        print(f"dualsight {times[ours]:.2f} s   Florence2VisionBackbone {times[theirs]:.2f} s   ratio {ratios[-1]:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
