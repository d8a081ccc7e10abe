"""Every engine that is installed here at the official size, beside Florence2VisionBackbone.

    make bench                                              # or, after `make test-full` for the group `bench`:
    .venv/bin/python benchmarks/engines.py FOLDER [ENGINE …] [--svg docs/engines.svg]

FOLDER is as for benchmarks/load.py; with an int8 folder in the checkpoint's (`dualsight quantize`) that is a row of its
own. Each engine runs in a process of its own, in turns, ROUNDS times; the first round compiles and is not counted.
Ratios are to the peer in the same round. A row's share is the rate at which it does the model's operations, by that of
the best matrix product of its precision that torch, oneDNN or OpenVINO reached here.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bars import Bar, draw_bars
from spread import spread

ROUNDS = 4
PICTURES = 5
BATCH = 4
ENGINES = (
    "torch float32",
    "openvino float32",
    "onnxruntime float32",
    "torch bfloat16",
    "openvino bfloat16",
    "openvino int8",
)
LABELS = ("x-ray chest", "mri brain", "ct abdomen")
TEXTS = (
    "x-ray chest anteroposterior pneumonia",
    "x-ray chest anteroposterior no finding",
    "mri brain axial t2",
    "ct abdomen axial",
    "lumbar spine",
    "chest",
    "fundus retina",
    "desktop",
)


def seconds(compute: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    compute()
    return time.perf_counter() - start


def pictures() -> np.ndarray:
    """Smooth, normalised: [BATCH, 3, 480, 480]."""
    from dualsight.engine.agreement import smooth_pixels

    return smooth_pixels(BATCH, (480, 480))


def child(folder: Path, which: str, started: float) -> None:
    """One engine; prints a line of JSON."""
    found: dict[str, Any] = {}
    model = None
    if which == "peer":
        encode = peer(folder)
    else:
        import dualsight

        engine, precision = which.split()
        model = dualsight.load(folder / "int8" if precision == "int8" else folder, engine=engine, precision=precision)  # type: ignore[arg-type]
        encode = model.engine.encode_images
    found["load"] = time.time() - started
    pixels = pictures()
    vectors = [encode(pixels[:1])]
    found["first"] = time.time() - started
    found["picture"] = statistics.median(seconds(lambda: encode(pixels[:1])) for _ in range(PICTURES))
    found |= memory()
    if model is not None:
        vectors += [encode(pixels[i : i + 1]) for i in range(1, BATCH)]
        found["vectors"] = np.concatenate(vectors).tolist()
        found["batch"] = seconds(lambda: encode(pixels)) / BATCH
        tokens = model.checkpoint.tokenizer(TEXTS)
        found["texts"] = min(
            seconds(lambda: model.engine.encode_texts(tokens.input_ids, tokens.attention_mask)) for _ in range(4)
        )
        found["classify"] = classify_ratio(model)
    print(json.dumps(found))


def classify_ratio(model: Any) -> float:
    """Seconds of classifying a picture with three labels seen before, by those of encoding it: the median of pairs."""
    picture = np.random.default_rng(0).integers(0, 256, (480, 480, 3), np.uint8)
    ways = {
        "classify": lambda: model.classify(picture, LABELS),
        "encode": lambda: model.encode_image(picture),
    }
    model.classify(picture, LABELS)
    ratios = []
    for i in range(PICTURES):
        took = {name: seconds(ways[name]) for name in (sorted(ways) if i % 2 else sorted(ways, reverse=True))}
        ratios.append(took["classify"] / took["encode"])
    return statistics.median(ratios)


def memory() -> dict[str, int]:
    """Resident megabytes now (VmRSS) and at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) // 1000 for line in lines if line.startswith(("VmHWM", "VmRSS"))}


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


def gemm_rates() -> dict[str, dict[str, float]]:
    """G operations/s of the feed-forward product of stage 3 for four pictures, [3600, 1024] × [1024, 4096], by
    precision and library; best of 20.
    """
    import torch

    from dualsight.engine import openvino

    rows, width, out = 3600, 1024, 4096
    tokens, weight = torch.randn(rows, width), torch.randn(out, width)
    low_tokens, low_weight = tokens.bfloat16(), weight.bfloat16()
    square = tokens.T.reshape(1, width, 60, 60).contiguous(memory_format=torch.channels_last)
    vino = openvino.library()
    ops = vino.opset13
    array = tokens.numpy()

    def by_openvino(hint: str, quantised: bool = False) -> Callable[[], object]:
        def levels(node: Any, count: int) -> Any:
            edges = [ops.constant(np.float32(edge)) for edge in (-4.0, 4.0, -4.0, 4.0)]
            return ops.fake_quantize(node, *edges, count) if quantised else node

        given = ops.parameter([rows, width], np.float32)
        product = ops.matmul(levels(given, 256), levels(ops.constant(weight.numpy()), 255), False, True)
        model = vino.Model([product], [given])
        compiled = vino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
        return lambda: compiled(array, share_inputs=True, share_outputs=True)

    ways: dict[str, dict[str, Callable[[], object]]] = {
        "float32": {
            "torch (MKL)": lambda: torch.nn.functional.linear(tokens, weight),
            "torch (oneDNN)": lambda: torch.nn.functional.conv2d(square, weight[:, :, None, None]),
            "OpenVINO": by_openvino("f32"),
        },
        "bfloat16": {
            "torch (oneDNN)": lambda: torch.nn.functional.linear(low_tokens, low_weight),
            "OpenVINO": by_openvino("bf16"),
        },
        "int8": {"OpenVINO": by_openvino("f32", quantised=True)},
    }
    with torch.inference_mode():
        return {
            precision: {
                name: 2 * rows * width * out / min(seconds(way) for _ in range(20)) / 1e9 for name, way in some.items()
            }
            for precision, some in ways.items()
        }


def measure(folder: Path, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What each counted process has found, by engine, round by round."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(ROUNDS):
        for name in names if number % 2 else names[::-1]:
            command = [sys.executable, __file__, "--child", str(folder), name, str(time.time())]
            line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            print(f"round {number}: {name}", file=sys.stderr)
            if number:
                runs[name].append(json.loads(line))
    return runs


def report(runs: dict[str, list[dict[str, Any]]], gflop: float, rates: dict[str, dict[str, float]]) -> str:
    """Prints the rows; returns the plot."""
    exact = np.asarray(runs["torch float32"][0]["vectors"]) if "torch float32" in runs else None
    speed, memory_bars = [], []
    for name, found in runs.items():
        ratios = [p["picture"] / one["picture"] for p, one in zip(runs["peer"], found, strict=True)]
        times = [one["picture"] for one in found]
        precision = "float32" if name == "peer" else name.split()[1]
        rate = gflop / statistics.median(times)
        share = rate / max(rates[precision].values())
        print(
            f"{name}: {spread(times)} s a picture, {spread(ratios)} × the peer, {rate:.0f} G/s, {share:.0%} of the peak"
        )
        print(f"  loaded after {spread([one['load'] for one in found])} s, ", end="")
        print(f"first embedding after {spread([one['first'] for one in found])} s; ", end="")
        print(f"resident {found[-1]['VmRSS']:,} MB, peak {max(one['VmHWM'] for one in found):,} MB")
        note = f"{statistics.median(times):.2f} s, {statistics.median(ratios):.2f} × the peer, {share:.0%}"
        label = "Florence2VisionBackbone" if name == "peer" else name
        speed.append(Bar(label, times, note, name == "peer"))
        memory_bars.append(
            Bar(label, [found[-1]["VmRSS"] / 1000], f"{found[-1]['VmRSS'] / 1000:.2f} GB", name == "peer")
        )
        if name == "peer":
            continue
        print(f"  {BATCH} at once {spread([one['batch'] for one in found])} s a picture; ", end="")
        print(f"{len(TEXTS)} texts {spread([one['texts'] for one in found])} s; ", end="")
        print(f"classify with {len(LABELS)} labels seen before {spread([one['classify'] for one in found])} × encoding")
        if exact is not None:
            vectors = np.asarray(found[0]["vectors"])
            print(f"  largest difference {np.abs(vectors - exact).max():.1e}, ", end="")
            print(f"least cosine {(vectors * exact).sum(1).min():.6f} of {BATCH} pictures")
    for precision, by in rates.items():
        print(f"best matrix products, {precision}: " + ", ".join(f"{name} {rate:.0f} G/s" for name, rate in by.items()))
    print(f"{gflop:.0f} GFLOP a picture")
    title = "Seconds a 480 × 480 picture: median, spread; share of the best matrix product of its precision"
    return draw_bars([(title, speed), ("Resident memory, gigabytes", memory_bars)])


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

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("engines", nargs="*")
    parser.add_argument("--svg", type=Path)
    asked = parser.parse_args()
    folder = make(asked.folder)
    offered = [name for name in ENGINES if "int8" not in name or (folder / "int8").exists()]
    runs = measure(folder, ["peer", *(asked.engines or offered)])
    line = subprocess.run([sys.executable, __file__, "--gemm"], check=True, capture_output=True, text=True).stdout
    stages, tail = image_costs(load_config(folder).dual.image, (480, 480))
    gflop = total([*(cost for stage in stages for cost in stage.values()), tail]).flops / 1e9
    plot = report(runs, gflop, json.loads(line))
    if asked.svg is not None:
        asked.svg.write_text(plot)


if __name__ == "__main__":
    main()
