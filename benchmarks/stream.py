"""Does the encoder wait for pictures? Streams of files through `embed_frames`, beside the decoders alone.

    .venv/bin/python benchmarks/stream.py rate       # 10,000 small DICOMs, a stub for the encoder
    .venv/bin/python benchmarks/stream.py memory     # peak memory at 1,000 and at 10,000 of them
    .venv/bin/python benchmarks/stream.py workers    # threads beside processes, three kinds of files
    .venv/bin/python benchmarks/stream.py busy       # 500 PNG and DICOM files through the demonstration model

"Decoders alone" are as many processes as there are cores, started and warm, each with its own share of the files, in
the silence that a decoder's process keeps: nothing is sent, ordered or batched. What `embed` is measured against is
all that the engine needs done to a picture: opened, resized, normalised. What less takes is said beside it, though no
encoder could use it. They run before and after each `embed`; figures are the median of the ratios, then the least and
the most. Beside other work, wall time favours what has more threads; the ratio of processor time does not, and is what
the speed comes to where nothing else runs. Files are made in a temporary folder and removed.
"""

from __future__ import annotations

import io
import math
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from spread import spread

from dualsight.engine.processor import n_cores
from dualsight.image.frame import Frame
from dualsight.image.open import read
from dualsight.image.prepare import Preprocessing, prepare, resize
from dualsight.image.quiet import quiet
from dualsight.image.reading import Reading
from dualsight.task.embed import Failed, embed_frames
from dualsight.task.prepared import prepare_ahead

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

SIDES = (64, 96, 128, 192, 256)
SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)
PAIRS = 3
OFFICIAL = Preprocessing(height=480, width=480, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
READING = Reading()


class Stub:
    """An encoder that takes no time."""

    name = "stub"
    precision = "float32"

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """[B, 3, H, W] → [B, 3]."""
        return pixels[:, :, 0, 0].copy()

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Not asked for."""
        raise NotImplementedError


def picture(rng: np.random.Generator, height: int, width: int, top: int) -> NDArray[np.float64]:
    """A smooth one with some noise, 0…top: neither the best nor the worst for a codec."""
    coarse = Image.fromarray(rng.normal(size=(8, 8)).astype(np.float32)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    values = np.asarray(coarse) + rng.normal(scale=0.02, size=(height, width))
    return (values - values.min()) / np.ptp(values) * top


def dicom(rng: np.random.Generator, side: int, syntax: str) -> bytes:
    """A CT slice of 12 bits with a window; of 8 bits in JPEG."""
    from dicom_files import dicom_dataset, to_bytes

    if syntax == JPEGBaseline8Bit:
        dataset = dicom_dataset(picture(rng, side, side, 255).astype(np.uint8), WindowCenter=120, WindowWidth=250)
        buffer = io.BytesIO()
        Image.fromarray(dataset_pixels(dataset, np.uint8)).save(buffer, "JPEG", quality=90)
        dataset.PixelData = encapsulate([buffer.getvalue()])
        return to_bytes(dataset, syntax)
    values = picture(rng, side, side, 4095).astype(np.uint16)
    dataset = dicom_dataset(values, BitsStored=12, HighBit=11, RescaleSlope="1", RescaleIntercept="-1024")
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(syntax, generate_instance_uid=False)
    return to_bytes(dataset, syntax)


def dataset_pixels(dataset: object, kind: type[np.uint8]) -> NDArray[np.uint8]:
    """[H, W] of an uncompressed data set."""
    return np.frombuffer(dataset.PixelData, kind)[: dataset.Rows * dataset.Columns].reshape(dataset.Rows, -1)  # type: ignore[attr-defined]


def raster(rng: np.random.Generator, height: int, width: int, form: str) -> bytes:
    """A colour picture."""
    rgb = np.stack([picture(rng, height, width, 255) for _ in range(3)], axis=2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, form)
    return buffer.getvalue()


def write(folder: Path, made: Sequence[bytes], count: int) -> list[Path]:
    """`count` files, the contents in turn; names without a suffix, since content tells."""
    folder.mkdir()
    paths = [folder / f"{i:05}" for i in range(count)]
    for i, path in enumerate(paths):
        path.write_bytes(made[i % len(made)])
    return paths


def small_dicoms(folder: Path, count: int) -> list[Path]:
    """Of 64² to 256², in seven transfer syntaxes."""
    rng = np.random.default_rng(4)
    made = [dicom(rng, SIDES[i % len(SIDES)], SYNTAXES[i % len(SYNTAXES)]) for i in range(70)]
    return write(folder, made, count)


def open_only(paths: Sequence[Path]) -> float:
    """The decoders alone. Returns processor seconds, as the next three do."""
    return _processor_seconds(paths, lambda frame: None)


def open_and_resize(paths: Sequence[Path]) -> float:
    """What a decoder's process does."""
    return _processor_seconds(paths, lambda frame: resize(frame.pixels, OFFICIAL))


def open_and_prepare(paths: Sequence[Path]) -> float:
    """All that the engine needs."""
    return _processor_seconds(paths, lambda frame: prepare(frame, OFFICIAL))


def _processor_seconds(paths: Sequence[Path], work: Callable[[Frame], object]) -> float:
    start = time.process_time()
    with quiet():
        for path in paths:
            for frame in read(path, READING):
                work(frame)
    return time.process_time() - start


def embed(paths: Sequence[Path]) -> float:
    """The stream, with everything that starts and ends in it."""
    start = processor_seconds()
    drain(embed_frames(paths, Stub(), OFFICIAL, reading=READING))
    return processor_seconds() - start


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def drain(stream: Iterable[object]) -> None:
    """Reads it to the end; a failure ends the benchmark."""
    for item in stream:
        if isinstance(item, Failed):
            raise item.error


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rate(folder: Path, count: int = 10_000) -> None:
    """`embed` beside the decoders alone, in pairs."""
    paths = small_dicoms(folder / "dicom", count)
    shares = [paths[i :: n_cores()] for i in range(n_cores())]
    alone = {
        "opened": open_only,
        "opened and resized": open_and_resize,
        "opened, resized and normalised": open_and_prepare,
    }
    wall: dict[str, list[float]] = {name: [] for name in alone}
    processor: dict[str, list[float]] = {name: [] for name in alone}
    with multiprocessing.get_context("spawn").Pool(n_cores()) as pool:
        pool.map(open_and_prepare, [paths[:200]] * n_cores(), chunksize=1)  # warm

        def run(work: Callable[[Sequence[Path]], float]) -> tuple[float, float]:
            """Wall and processor seconds."""
            start = time.perf_counter()
            used = sum(pool.map(work, shares, chunksize=1))
            return time.perf_counter() - start, used

        for _ in range(PAIRS):
            before = {name: run(work) for name, work in alone.items()}
            start = time.perf_counter()
            used = embed(paths)
            took = time.perf_counter() - start
            after = {name: run(work) for name, work in alone.items()}
            print(f"embed {count / took:,.0f}/s, {1000 * used / count:.2f} ms of a processor each", end="")
            for name in alone:
                beside = [(a + b) / 2 for a, b in zip(before[name], after[name], strict=True)]
                wall[name].append(beside[0] / took)
                processor[name].append(beside[1] / used)
                print(f"; {name} {count / beside[0]:,.0f}/s, {1000 * beside[1] / count:.2f} ms", end="")
            print(flush=True)
    for name in alone:
        figures = f"{spread(wall[name])} × by the clock, {spread(processor[name])} × by processor time"
        print(f"embed beside files {name}: {figures}", flush=True)


def memory(folder: Path) -> None:
    """Peak resident memory of `embed` and its processes, each count in a process of its own."""
    small_dicoms(folder / "dicom", 10_000)
    for count in (1_000, 10_000):
        subprocess.run([sys.executable, __file__, "peak", str(folder / "dicom"), str(count)], check=True)


def peak(folder: Path, count: int) -> None:
    """Peaks of the parent and of the processes that it has started, read before they end."""
    paths = sorted(folder.iterdir())[:count]
    peaks: list[int] = []
    for number, item in enumerate(embed_frames(paths, Stub(), OFFICIAL, reading=READING), start=1):
        if isinstance(item, Failed):
            raise item.error
        if number == count - 20:  # the rest is ready, or being read
            pids = [
                pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
            ]
            peaks = [high_water_mb(f"/proc/{pid}/status") for pid in pids]
    own = high_water_mb("/proc/self/status")
    parts = " + ".join(f"{mb}" for mb in (own, *peaks))
    print(f"{count:6,} files: {parts} = {own + sum(peaks)} MB", flush=True)


def high_water_mb(status: str) -> int:
    """Peak resident memory, shared pages of libraries included (Linux)."""
    (line,) = (line for line in Path(status).read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def workers(folder: Path) -> None:
    """Threads alone beside processes alone, started before the clock; and one thread, as it was once."""
    rng = np.random.default_rng(4)
    kinds = {
        "DICOM 64²–256²": small_dicoms(folder / "small", 2_000),
        "DICOM 512², 16 bits": write(
            folder / "ct", [dicom(rng, 512, s) for s in (ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless)], 300
        ),
        "JPEG 2000 × 2500": write(folder / "jpeg", [raster(rng, 2000, 2500, "JPEG")], 60),
        "PNG 2000 × 2500": write(folder / "png", [raster(rng, 2000, 2500, "PNG")], 30),
    }
    ways = {"1 thread": (1, math.inf), "threads": (None, math.inf), "processes": (None, 0.0)}
    for kind, paths in kinds.items():
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for i in range(PAIRS):
            for way in list(ways) if i % 2 else list(ways)[::-1]:
                rates[way].append(steady_rate(paths, *ways[way]))
        threads = [rate / one for rate, one in zip(rates["threads"], rates["1 thread"], strict=True)]
        processes = [rate / one for rate, one in zip(rates["processes"], rates["1 thread"], strict=True)]
        print(f"{kind:20}  threads {spread(threads)} ×, processes {spread(processes)} × one thread", flush=True)


def steady_rate(paths: Sequence[Path], n_workers: int | None, patience_s: float) -> float:
    """Pictures a second, from the tenth on."""
    stream = prepare_ahead(paths, OFFICIAL, READING, depth=16, workers=n_workers, patience_s=patience_s)
    for _ in range(10):
        next(stream)
    return (len(paths) - 10) / seconds(partial(drain, stream))


def busy(folder: Path) -> None:
    """The share of the time in which the encoder computes, from its first batch on."""
    import dualsight

    rng = np.random.default_rng(4)
    made = [dicom(rng, 512, syntax) for syntax in SYNTAXES] + [raster(rng, 1024, 1024, "PNG") for _ in range(7)]
    paths = write(folder / "mixed", made, 500)
    model = dualsight.load("demo")
    spans: list[tuple[float, float]] = []
    encode = model.engine.encode_images

    def timed(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        start = time.perf_counter()
        vectors = encode(pixels)
        spans.append((start, time.perf_counter()))
        return vectors

    model.engine.encode_images = timed  # type: ignore[method-assign]
    for _ in range(PAIRS):
        spans.clear()
        drain(model.embed(paths))
        computing = sum(end - start for start, end in spans)
        print(f"encoder busy {computing / (spans[-1][1] - spans[0][0]):.1%}, {len(paths) / computing:.0f} pictures/s")


def main() -> None:
    """One measurement, in a temporary folder."""
    name, *arguments = sys.argv[1:]
    if name == "peak":
        peak(Path(arguments[0]), int(arguments[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        {"rate": rate, "memory": memory, "workers": workers, "busy": busy}[name](Path(folder), *map(int, arguments))


if __name__ == "__main__":
    main()
