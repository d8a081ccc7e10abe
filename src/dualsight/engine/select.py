"""Which engine computes: named by the user, or found by measuring those that are installed on this very model.

    exact   float32                                      embeddings within 1e-5 of torch's
    fast    float32, bfloat16, and int8 of a quantised checkpoint
            the quickest of those that were measured; remembered for the model, the machine and the versions

What wins differs by processor: with bfloat16 instructions bfloat16 halves the time, without them it doubles it.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import statistics
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dualsight.checkpoint.layout import CONFIG
from dualsight.checkpoint.load import Checkpoint
from dualsight.engine.base import Engine, check_batch_size
from dualsight.engine.cache import kept, key_of
from dualsight.engine.processor import describe, has_bfloat16
from dualsight.errors import EngineError

if TYPE_CHECKING:
    from dualsight.model.dual import DualEncoder

EngineName = Literal["auto", "torch", "openvino", "onnxruntime"]
Precision = Literal["exact", "fast", "float32", "bfloat16", "float16", "int8"]
SMALL_BYTES = 100_000_000  # of a weight file: below it torch embeds dozens of pictures while one compiles
ROUNDS = 3
_RECORD = "measured.json"
_OF_TORCH: dict[str, Literal["float32", "bfloat16", "float16"]] = {
    "exact": "float32",
    "fast": "bfloat16",
    "float32": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """An engine in one precision; `missing` says why it cannot run here, or is empty."""

    engine: str
    precision: str
    missing: str = ""

    @property
    def title(self) -> str:
        """As reports call it."""
        return f"{self.engine}, {self.precision}"


@dataclass(frozen=True, slots=True)
class Measured:
    """An offer on this machine: median seconds for one picture, or why it gave none."""

    engine: str
    precision: str
    seconds: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine, and why it is the one."""

    engine: Engine
    reasons: tuple[str, ...]


def offers(checkpoint: Checkpoint) -> list[Offer]:
    """What could compute this checkpoint's pictures on the processor, and what each lacks here."""
    slow = "" if has_bfloat16() else "this processor has no bfloat16 instructions"
    vino, onnx = _missing("openvino", "openvino"), _missing("onnx", "onnxruntime", "onnxscript")
    found = [
        Offer("torch", "float32"),
        Offer("torch", "bfloat16", slow),
        Offer("openvino", "float32", vino),
        Offer("openvino", "bfloat16", vino or slow),
        Offer("onnxruntime", "float32", onnx),
    ]
    return [*found, Offer("openvino", "int8", vino)] if checkpoint.int8_graph else found


def choose(
    checkpoint: Checkpoint,
    *,
    name: EngineName = "auto",
    precision: Precision | None = None,
    device: str = "cpu",
    compiled: int | None = None,
) -> Choice:
    """The engine for a checkpoint. precision None: "int8" for a quantised checkpoint, else "exact". compiled: torch's,
    compiled for batches of so many pictures.

    Nothing is measured where only one engine is possible, nor for a small model. Raises EngineError for what is not
    offered here, MissingExtra for what is not installed, ConfigError for a batch of no pictures.
    """
    _check_names(name, precision)
    if compiled is not None:
        check_batch_size(compiled)
    wanted = precision or ("int8" if checkpoint.int8_graph else "exact")
    if device != "cpu" or compiled is not None:
        return _by_torch(checkpoint, name, wanted, device, compiled)
    possible = [offer for offer in offers(checkpoint) if _fits(offer, name, wanted)]
    if not possible:
        raise EngineError(
            f"no engine {name!r} computes this checkpoint in precision {wanted!r}", hint=_hint(checkpoint)
        )
    ready = [offer for offer in possible if not offer.missing]
    if (name != "auto" and len(possible) == 1) or not ready:
        return Choice(build(checkpoint, possible[0]), ("as asked",))  # raises what it lacks
    if len(ready) == 1:
        return Choice(build(checkpoint, ready[0]), (f"the only one installed for {wanted}",))
    n_bytes = 0 if checkpoint.weights is None else checkpoint.weights.stat().st_size
    if n_bytes < SMALL_BYTES and (small := [offer for offer in ready if offer.engine == "torch"]):
        reason = f"the model's file has {n_bytes / 1e6:.0f} MB: compiling would not pay"
        return Choice(build(checkpoint, small[0]), (reason,))
    return _quickest(checkpoint, ready)


def build(checkpoint: Checkpoint, offer: Offer) -> Engine:
    """The engine that an offer names. Raises MissingExtra or EngineError."""
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width

    def load_model() -> DualEncoder:
        return checkpoint.model

    match offer.engine, offer.precision:
        case "openvino", "int8" if checkpoint.int8_graph:
            from dualsight.engine.openvino import OpenVinoEngine

            return OpenVinoEngine(load_model, checkpoint.int8_graph, "int8")
        case "openvino", ("float32" | "bfloat16") as exact:
            from dualsight.engine.openvino import openvino_engine

            print_of = stored_fingerprint(checkpoint)
            return openvino_engine(load_model, size=size, fingerprint=print_of, precision=exact)
        case "onnxruntime", "float32":
            from dualsight.engine.onnx import onnx_engine

            return onnx_engine(load_model, size=size, fingerprint=stored_fingerprint(checkpoint))
        case "torch", ("float32" | "bfloat16" | "float16") as kind:
            from dualsight.engine.torch import TorchEngine

            return TorchEngine(checkpoint.model, precision=kind)
        case _:
            raise EngineError(f"engine {offer.engine!r} has no precision {offer.precision!r}", hint=_hint(checkpoint))


def stored_fingerprint(checkpoint: Checkpoint) -> str:
    """The fingerprint of a checkpoint as it was loaded, remembered for its files: hashing 2.5 GB takes two seconds."""
    if checkpoint.path is None or checkpoint.weights is None:
        return checkpoint.fingerprint
    facts = [str(checkpoint.path.resolve())]
    for file in (checkpoint.path / CONFIG, checkpoint.weights):
        status = file.stat()
        facts += [file.name, str(status.st_size), str(status.st_mtime_ns), str(status.st_ino)]

    def remember(folder: Path) -> None:
        (folder / "fingerprint").write_text(checkpoint.fingerprint)

    return (kept(key_of("fingerprint", *facts), remember) / "fingerprint").read_text()


def measure(checkpoint: Checkpoint, among: list[Offer]) -> list[Measured]:
    """Seconds a picture of each offer on this machine, in turns; remembered, so that only the first call takes time."""
    facts = stored_fingerprint(checkpoint), *machine_facts(), *(offer.title for offer in among)
    folder = kept(key_of("measured", *facts), lambda folder: _measure(checkpoint, among, folder / _RECORD))
    return [Measured(**row) for row in json.loads((folder / _RECORD).read_text())]


def machine_facts() -> list[str]:
    """What a measurement depends on beside the model: processor, threads, versions."""
    versions = [f"{name} {_version(name)}" for name in ("torch", "openvino", "onnxruntime")]
    return [*describe(), *versions]


def _quickest(checkpoint: Checkpoint, ready: list[Offer]) -> Choice:
    found = measure(checkpoint, ready)
    timed = sorted((one for one in found if one.seconds is not None), key=lambda one: one.seconds or 0.0)
    reasons = [f"{one.engine}, {one.precision}: {one.seconds:.2f} s a picture, measured here" for one in timed]
    reasons += [f"{one.engine}, {one.precision}: {one.problem}" for one in found if one.seconds is None]
    if not timed:
        raise EngineError("no engine computes this checkpoint here: " + "; ".join(reasons))
    best = Offer(timed[0].engine, timed[0].precision)
    return Choice(build(checkpoint, best), tuple(reasons))


def _measure(checkpoint: Checkpoint, among: list[Offer], record: Path) -> None:
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width
    pixels = np.random.default_rng(0).normal(size=(1, 3, *size)).astype(np.float32)
    rows: list[Measured] = []
    for offer in among:  # one at a time in memory
        try:
            engine = build(checkpoint, offer)
        except EngineError as error:
            rows.append(Measured(offer.engine, offer.precision, None, str(error)))
            continue
        engine.encode_images(pixels)  # warm
        took = [_seconds(engine, pixels) for _ in range(ROUNDS)]
        rows.append(Measured(offer.engine, offer.precision, statistics.median(took)))
        del engine
        gc.collect()
    record.write_text(json.dumps([asdict(row) for row in rows]))


def _seconds(engine: Engine, pixels: NDArray[np.float32]) -> float:
    start = time.perf_counter()
    engine.encode_images(pixels)
    return time.perf_counter() - start


def _fits(offer: Offer, name: str, wanted: str) -> bool:
    if name not in ("auto", offer.engine):
        return False
    match wanted:
        case "exact":
            return offer.precision == "float32"
        case "fast":
            return True
        case _:
            return offer.precision == wanted


def _by_torch(checkpoint: Checkpoint, name: str, wanted: str, device: str, compiled: int | None) -> Choice:
    """A device other than the processor, and compiling, are torch's."""
    if name not in ("auto", "torch"):
        raise EngineError(f"engine {name!r} computes on the processor only", hint="use engine torch")
    if wanted not in _OF_TORCH:
        raise EngineError(f"torch has no precision {wanted!r}", hint=f"one of: {', '.join(_OF_TORCH)}")
    if device.startswith("cuda") and compiled is None:
        from dualsight.engine.cuda import cuda_engine

        return Choice(cuda_engine(checkpoint.model, device, _OF_TORCH[wanted]), (f"torch computes on {device}",))
    from dualsight.engine.torch import TorchEngine

    engine = TorchEngine(checkpoint.model, device, precision=_OF_TORCH[wanted], compiled=compiled)
    return Choice(engine, (f"torch computes on {device}",))


def _check_names(name: str, precision: str | None) -> None:
    if name not in get_args(EngineName):
        raise EngineError(f"no engine {name!r}", hint="one of: " + ", ".join(get_args(EngineName)))
    if precision is not None and precision not in get_args(Precision):
        raise EngineError(f"no precision {precision!r}", hint="one of: " + ", ".join(get_args(Precision)))


def _hint(checkpoint: Checkpoint) -> str:
    return "offered are " + "; ".join(offer.title for offer in offers(checkpoint))


def _missing(extra: str, *packages: str) -> str:
    """How to get the packages of an extra; empty where all are installed."""
    installed = all(importlib.util.find_spec(package) is not None for package in packages)
    return "" if installed else f"pip install 'dualsight[{extra}]'"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
