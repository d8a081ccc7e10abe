"""Every engine that is installed here on one picture of the official size, beside Florence2VisionBackbone.

    make test-full                                    # once: installs the group `bench`
    .venv/bin/python benchmarks/engines.py FOLDER     # FOLDER as for benchmarks/load.py

Each engine runs in a process of its own, in turns, ROUNDS times: seconds from the process's start to the first
embedding (everything compiled and on disk), the median of five pictures after it, resident memory then and at its peak.
The first round is not counted: it compiles. Ratios are to the peer in the same round. The last lines give the best
float32 matrix product of this machine by torch (MKL), torch's convolution (oneDNN) and OpenVINO, and the share of it
that float32 reaches.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 4
PICTURES = 5
ENGINES = ("torch float32", "torch bfloat16", "openvino float32", "openvino bfloat16")


def picture() -> np.ndarray:
    """Smooth, normalised: [1, 3, 480, 480]."""
    import torch

    coarse = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, (480, 480), mode="bicubic").numpy()


def child(folder: Path, which: str, started: float) -> None:
    """One engine; prints a line of JSON."""
    import dualsight

    if which == "peer":
        encode = peer(folder)
    else:
        engine, precision = which.split()
        encode = dualsight.load(folder, engine=engine, precision=precision).engine.encode_images  # type: ignore[arg-type]
    pixels = picture()
    vector = encode(pixels)
    first = time.time() - started
    took = []
    for _ in range(PICTURES):
        start = time.perf_counter()
        encode(pixels)
        took.append(time.perf_counter() - start)
    lines = Path("/proc/self/status").read_text().splitlines()
    memory = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if line.startswith(("VmHWM", "VmRSS"))}
    print(json.dumps({"first": first, "picture": statistics.median(took), **memory, "vector": vector[0].tolist()}))


def peer(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The same weights in transformers, eager, float32; its last feature map."""
    import torch
    from image import peer_of

    from dualsight.checkpoint.load import load_checkpoint

    backbone = peer_of(load_checkpoint(folder).model.image_encoder)  # type: ignore[arg-type]

    @torch.inference_mode()
    def encode(pixels: np.ndarray) -> np.ndarray:
        out: Any = backbone(torch.from_numpy(pixels))
        out = out if isinstance(out, torch.Tensor) else out.last_hidden_state
        return out.flatten(1).numpy()[:, :1]

    return encode


def gemm_rates() -> dict[str, float]:
    """GFLOP/s of the feed-forward product of stage 3 for four pictures, [3600, 1024] × [1024, 4096], best of 20."""
    import torch

    from dualsight.engine import openvino

    rows, width, out = 3600, 1024, 4096
    tokens, weight = torch.randn(rows, width), torch.randn(out, width)
    square = tokens.T.reshape(1, width, 60, 60).contiguous(memory_format=torch.channels_last)
    vino = openvino.library()
    ops = vino.opset13
    given = ops.parameter([rows, width], np.float32)
    product = ops.matmul(given, ops.constant(weight.numpy()), False, True)
    compiled = vino.Core().compile_model(vino.Model([product], [given]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    array = tokens.numpy()
    ways: dict[str, Callable[[], object]] = {
        "torch (MKL)": lambda: torch.nn.functional.linear(tokens, weight),
        "torch (oneDNN)": lambda: torch.nn.functional.conv2d(square, weight[:, :, None, None]),
        "OpenVINO": lambda: compiled(array, share_inputs=True, share_outputs=True),
    }
    rates = {}
    with torch.inference_mode():
        for name, compute in ways.items():
            best = min(_seconds(compute) for _ in range(20))
            rates[name] = 2 * rows * width * out / best / 1e9
    return rates


def _seconds(compute: Callable[[], object]) -> float:
    start = time.perf_counter()
    compute()
    return time.perf_counter() - start


def spread(values: list[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def main() -> None:
    """Rounds of processes, then the table."""
    if sys.argv[1] == "--child":
        child(Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
        return
    if sys.argv[1] == "--gemm":
        print(json.dumps(gemm_rates()))
        return
    from load import make

    from dualsight.checkpoint.load import load_config
    from dualsight.model.cost import image_costs, total

    folder = make(Path(sys.argv[1]))
    names = ("peer", *sys.argv[2:]) if sys.argv[2:] else ("peer", *ENGINES)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(ROUNDS):
        for name in names if number % 2 else names[::-1]:
            command = [sys.executable, __file__, "--child", str(folder), name, str(time.time())]
            line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            if number:
                runs[name].append(json.loads(line))
    exact = np.asarray(runs["torch float32"][0]["vector"]) if "torch float32" in runs else None
    for name, found in runs.items():
        ratios = [p["picture"] / one["picture"] for p, one in zip(runs["peer"], found, strict=True)]
        seconds = spread([one["picture"] for one in found])
        first = spread([one["first"] for one in found])
        print(f"{name:18} {seconds} s a picture, {spread(ratios)} × the peer; first after {first} s; ", end="")
        print(f"resident {found[-1]['VmRSS']:,} MB, peak {found[-1]['VmHWM']:,} MB", end="")
        if exact is not None and name != "peer":
            vector = np.asarray(found[0]["vector"])
            print(f"; largest difference {np.abs(vector - exact).max():.1e}, cosine {vector @ exact:.6f}", end="")
        print()
    rates = json.loads(
        subprocess.run([sys.executable, __file__, "--gemm"], check=True, capture_output=True, text=True).stdout
    )
    stages, tail = image_costs(load_config(folder).dual.image, (480, 480))
    flops = total([*(cost for stage in stages for cost in stage.values()), tail]).flops / 1e9
    print(f"{flops:.0f} GFLOP a picture; best matrix products: " + ", ".join(f"{k} {v:.0f}" for k, v in rates.items()))
    for name in ("torch float32", "openvino float32"):
        if name in runs:
            rate = flops / statistics.median(one["picture"] for one in runs[name])
            print(f"{name}: {rate:.0f} GFLOP/s, {rate / max(rates.values()):.0%} of the best of these")


if __name__ == "__main__":
    main()
