"""The official size on an NVIDIA GPU: its rate, how near it comes to float32, and JPEG files end to end.

    .venv/bin/python benchmarks/gpu.py [--files 8192] [--batches 16 32 64 …]

The image tower has the recipe's weights, which are random, beside a small text tower; what half precision costs a model
that was trained, the demonstration checkpoint tells. A rate is that of `start_images`, from bytes in memory to vectors
in memory, one batch begun while another is computed. A share is the rate of the model's operations by that of an 8192³
product in bfloat16: the best tenth of a second of it in this run, two seconds of it, and what the card's maker states.

The files are phantoms of 512 to 1024 pixels a side, some drawn and linked under many names in a temporary folder. They
take the way of `dualsight embed`: found, decoded and resized in processes, encoded. What the processes do alone is
timed too.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from dualsight.checkpoint.config import parse_config
from dualsight.checkpoint.load import Checkpoint, load_checkpoint
from dualsight.engine.agreement import smooth_pixels
from dualsight.engine.base import AsyncEngine, Engine
from dualsight.engine.cuda import cuda_engine
from dualsight.engine.processor import model_name, n_cores
from dualsight.engine.torch import TorchEngine
from dualsight.image.prepare import Preprocessing, normalise, resize
from dualsight.image.reading import Reading
from dualsight.image.source import scan
from dualsight.learn.phantom.catalogue import MODALITIES, draw_many
from dualsight.model.cost import image_costs, total
from dualsight.model.dual import DualEncoder
from dualsight.task.embed import Embedded
from dualsight.task.model import Model
from dualsight.task.prepared import prepare_ahead
from dualsight.text.tokenizer import Tokenizer
from golden import Golden, recipe

DISTINCT = 48
SIDES = (512, 640, 768, 896, 1024)
NOMINAL = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # bfloat16, dense, as stated by the maker
WARM_S = 1.0
MEASURED_S = 2.5


def draw(i: int) -> np.ndarray:
    """Phantom i as uint8 [H, W, 3]."""
    modality = MODALITIES[i % len(MODALITIES)]
    return next(draw_many(i, 1, size=SIDES[i % len(SIDES)], modalities=[modality])).pixels


def write_files(folder: Path, pictures: list[np.ndarray], n: int) -> None:
    """n names of as many JPEGs as there are pictures; grey ones have one channel."""
    for i, pixels in enumerate(pictures):
        grey = (pixels == pixels[:, :, :1]).all()
        Image.fromarray(pixels[:, :, 0] if grey else pixels).save(folder / f"{i:05}.jpg", quality=90)
    for i in range(len(pictures), n):
        os.link(folder / f"{i % len(pictures):05}.jpg", folder / f"{i:05}.jpg")


def official() -> Checkpoint:
    """The official configuration; its image tower by recipe, its text tower one random layer."""
    golden = Golden("official-size")
    text = golden.config.read_text()
    config = parse_config(text, file="config.yaml")
    seed = golden.inputs["seed"]
    with torch.device("meta"):
        model = DualEncoder(replace(config.dual, text=replace(config.dual.text, layers=1))).eval()

    def weight(key: str, like: torch.Tensor) -> tuple[str, torch.Tensor]:
        is_text = key.startswith("lang")
        numbers = np.zeros(like.shape, np.float32) if is_text else recipe.weight(key, tuple(like.shape), seed)
        return key, torch.from_numpy(np.array(numbers))

    with ThreadPoolExecutor() as threads:
        weights = dict(threads.map(lambda item: weight(*item), model.state_dict().items()))
    model.load_state_dict(weights, assign=True)
    tokenizer = Tokenizer.packaged()
    return Checkpoint(load_model=lambda: model, config=config, config_text=text, tokenizer=tokenizer, name="recipe")


def matrix_rate(seconds: float) -> float:
    """Operations a second of 8192³ bfloat16 products on random numbers, one after another for so long."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 * _rate(lambda: torch.mm(a, b), seconds)


def _rate(call: Callable[[], object], seconds: float) -> float:
    """Calls a second on the GPU."""
    call()
    torch.cuda.synchronize()
    n, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(4):
            call()
        torch.cuda.synchronize()
        n += 4
    return n / (time.perf_counter() - start)


def engine_rate(engine: Engine, pictures: list[np.ndarray], preprocessing: Preprocessing, batch: int) -> float:
    """Pictures a second, from bytes in memory to vectors in memory."""
    pictures = [pictures[i % len(pictures)] for i in range(batch)]
    if not isinstance(engine, AsyncEngine):
        pixels = np.stack([normalise(picture, preprocessing) for picture in pictures])
        engine.encode_images(pixels)
        return batch * _rate(lambda: engine.encode_images(pixels), WARM_S)
    begun: deque[Callable[[], object]] = deque()

    def run(seconds: float) -> float:
        n, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            begun.append(engine.start_images(pictures, preprocessing))
            if len(begun) > 1:
                begun.popleft()()
                n += 1
        return n / (time.perf_counter() - start)

    run(WARM_S)
    rate = batch * run(MEASURED_S)
    begun.popleft()()
    return rate


def cosines(found: np.ndarray, expected: np.ndarray) -> str:
    """Least and mean cosine of rows of unit length."""
    each = (found.astype(np.float64) * expected).sum(1)
    return f"least {each.min():.6f}, mean {each.mean():.6f} of {len(each)}"


def compare(name: str, checkpoint: Checkpoint, pixels: np.ndarray) -> None:
    """Half precisions beside float32 on the GPU, and that beside the processor."""
    model, parts = checkpoint.model, np.array_split(pixels, -(-len(pixels) // 16))
    expected = np.concatenate([TorchEngine(model, "cuda").encode_images(part) for part in parts])
    engines = [cuda_engine(model, "cuda", "bfloat16")]
    engines += [TorchEngine(model, "cuda", precision=precision) for precision in ("bfloat16", "float16")]
    for engine in engines:
        found = np.concatenate([engine.encode_images(part) for part in parts])
        print(f"{name}: {engine.name}: cosine to float32 {cosines(found, expected)}", flush=True)
    model.to("cpu")
    difference = np.abs(TorchEngine(model).encode_images(pixels[:4]) - expected[:4]).max()
    print(f"{name}: float32 on the GPU within {difference:.1e} of the processor's", flush=True)


def decoding_rate(folder: Path, preprocessing: Preprocessing) -> tuple[float, float]:
    """Pictures a second that are found, decoded and resized, by threads and then processes, while nothing is encoded;
    of the last three quarters. Milliseconds of this process's own time for one.
    """
    at, spent = [], time.process_time()
    for _ in prepare_ahead(scan(folder), preprocessing, Reading(), depth=256):
        at.append(time.perf_counter())
    quarter = len(at) // 4
    return (len(at) - quarter) / (at[-1] - at[quarter]), (time.process_time() - spent) / len(at) * 1e3


def end_to_end(model: Model, folder: Path, batch: int) -> tuple[float, float, float]:
    """Pictures a second of the whole run; of its last three quarters; seconds until the first result."""
    start = time.perf_counter()
    at = []
    for item in model.embed(scan(folder), batch_size=batch):
        assert isinstance(item, Embedded), item
        at.append(time.perf_counter() - start)
    quarter = len(at) // 4
    return len(at) / at[-1], (len(at) - quarter) / (at[-1] - at[quarter]), at[0]


@dataclass(frozen=True)
class Yard:
    """What a rate is compared with, in operations a second."""

    flops: int
    peak: float
    sustained: float
    nominal: float

    def told(self, rate: float) -> str:
        """A rate of pictures in words."""
        work = rate * self.flops
        shares = (work / of for of in (self.peak, self.sustained, self.nominal))
        return f"{rate:.0f} pictures/s, {work / 1e12:.0f} TFLOP/s, " + " | ".join(f"{share:.1%}" for share in shares)


def yard(checkpoint: Checkpoint, card: str) -> Yard:
    """Measured now, on a card that was left alone for a second."""
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width
    stages, rest = image_costs(checkpoint.config.dual.image, size)
    flops = (total(cost for stage in stages for cost in stage.values()) + rest).flops
    bursts = []
    for _ in range(4):
        time.sleep(0.5)
        bursts.append(matrix_rate(0.1))
    nominal = next((rate for name, rate in NOMINAL.items() if name in card), float("nan"))
    return Yard(flops, max(bursts), matrix_rate(2.0), nominal)


def main() -> None:
    """Prints everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=8192)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8, 16, 32, 48, 64, 80, 96, 112, 128, 256])
    parser.add_argument("--quick", action="store_true", help="without comparing precisions")
    options = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        pictures = list(pool.map(draw, range(DISTINCT)))
    card = torch.cuda.get_device_name()
    print(f"{card}, torch {torch.__version__}; {model_name()}, {n_cores()} cores", flush=True)
    checkpoint = official()
    preprocessing = checkpoint.config.preprocessing
    resized = [np.ascontiguousarray(resize(picture, preprocessing)) for picture in pictures]
    if not options.quick:
        demo = load_checkpoint("demo")
        its = demo.config.preprocessing
        small = [normalise(resize(picture, its), its) for picture in pictures]
        compare("demonstration checkpoint, phantoms", demo, np.stack(small))
        compare("recipe, smooth pictures", checkpoint, smooth_pixels(16, (480, 480)))
        compare("recipe, phantoms", checkpoint, np.stack([normalise(picture, preprocessing) for picture in resized]))
    by = yard(checkpoint, card)
    print(
        f"{by.flops / 1e9:.0f} GFLOP a picture; a product's TFLOP/s in a burst {by.peak / 1e12:.0f}, "
        f"in two seconds {by.sustained / 1e12:.0f}, stated {by.nominal / 1e12:.0f}; shares below are in this order",
        flush=True,
    )
    plain = TorchEngine(checkpoint.model, "cuda", precision="bfloat16")
    print(f"{plain.name}, batch 64: {by.told(engine_rate(plain, resized, preprocessing, 64))}", flush=True)
    del plain
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    engine = cuda_engine(checkpoint.model, "cuda", "bfloat16")
    engine.encode_images(smooth_pixels(1, (preprocessing.height, preprocessing.width)))
    print(f"{engine.name}: first embedding {time.perf_counter() - start:.1f} s after the weights are there", flush=True)
    rates = {}
    for batch in options.batches:
        rates[batch] = engine_rate(engine, resized, preprocessing, batch)
        memory = torch.cuda.max_memory_reserved() / 2**30
        print(f"batch {batch}: {by.told(rates[batch])}; at most {memory:.1f} GiB of the GPU's memory", flush=True)
    best = max(rates, key=lambda batch: rates[batch])
    with tempfile.TemporaryDirectory() as place:
        write_files(Path(place), pictures, options.files)
        rate, cost_ms = decoding_rate(Path(place), preprocessing)
        print(f"decoding alone: {rate:.0f} pictures/s, {cost_ms:.2f} ms of the reader's own time each", flush=True)
        whole, steady, first = end_to_end(Model(checkpoint, engine), Path(place), best)
        print(f"{options.files} JPEG files, batch {best}, first result after {first:.2f} s", flush=True)
        print(f"  the whole run: {by.told(whole)}", flush=True)
        print(f"  its last three quarters: {by.told(steady)}", flush=True)


if __name__ == "__main__":
    main()
