"""int8 of a checkpoint's image tower, by post-training quantisation (NNCF), and what it costs in accuracy.

    checkpoint ──write_graph──▶ float32 graph ──NNCF on calibration pictures──▶ int8 graph ──compare──▶ folder | refusal

Activations are scaled symmetrically by the largest value seen, and outlier channels are moved into the weights before
(SmoothQuant, arXiv 2211.10438). A percentile of the values instead loses whole pictures: 0.92 was the least cosine of
300, and 0.998 with the maximum. Where that is not enough, the inputs that lose most stay in float, by measurement.
The only file that imports nncf.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualsight.checkpoint.layout import CONFIG, INT8_GRAPH, INT8_REPORT, SUFFIXES, TOKENIZER_FILES, Layout
from dualsight.checkpoint.load import Checkpoint
from dualsight.checkpoint.save import whole_folder
from dualsight.engine.openvino import OpenVinoEngine, library, load_graph, save_graph, write_graph
from dualsight.errors import EngineError, MissingExtra

Vectors = NDArray[np.float32]
SMOOTHING = 0.5  # how much of an outlier channel's range the weights take over
MAX_FLOAT_SHARE = 0.25  # of the quantised inputs that may stay in float: beyond it int8 is hardly faster
RANKED_ON = 4  # pictures on which each input's loss is measured: those with the least cosine


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What quantisation has cost and gained, on pictures that it was not calibrated on."""

    fingerprint: str  # of the float checkpoint
    calibrated_on: int
    compared_on: int
    cosine_least: float
    cosine_median: float
    cosines: tuple[float, ...]  # to float32, picture by picture
    top_label_agreement: float | None  # share of pictures with the same best label; None without labels
    kept_in_float: tuple[str, ...]
    seconds_float32: float
    seconds_int8: float
    bytes_float32: int
    bytes_int8: int


def quantize(
    checkpoint: Checkpoint,
    folder: Path,
    pixels: Sequence[Vectors],
    *,
    min_cosine: float = 0.995,
    labels: Vectors | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Report:
    """Writes `folder`: the checkpoint, its weights linked where the disk allows, with an int8 image tower and a report.

    pixels: normalised [3, H, W] of calibration pictures, at least 8; every fourth is compared and not calibrated on.
    labels: embeddings [n, D] among which each picture's nearest is compared. Raises MissingExtra without openvino and
    nncf; EngineError where fewer pictures are given, or a compared picture stays below `min_cosine`: then nothing is
    written. Raises OutputError if the folder is in use or cannot be written.
    """
    if checkpoint.path is None or checkpoint.weights is None or len(pixels) < 8:
        raise EngineError("quantisation needs a checkpoint on disk and at least 8 pictures", hint="give more pictures")
    files = Layout(checkpoint.path, checkpoint.path / CONFIG, checkpoint.weights, checkpoint.tokenizer_folder)
    compared = np.stack(pixels[::4])
    calibration = [picture for i, picture in enumerate(pixels) if i % 4]
    with whole_folder(folder) as new:
        _link(files, new)
        graph = new / INT8_GRAPH
        graph.parent.mkdir(exist_ok=True)
        whole = graph.with_name("float32.xml")
        progress("drawing the graph")
        write_graph(checkpoint.model, compared.shape[2:], whole)
        progress(f"quantising on {len(calibration)} pictures")
        save_graph(_quantised(load_graph(whole), calibration), graph)
        reference, seconds_float32 = _encode(OpenVinoEngine(lambda: checkpoint.model, whole), compared)
        kept_in_float, vectors, seconds = _mend(checkpoint, graph, compared, reference, min_cosine, progress)
        cosines = (vectors * reference).sum(1)
        report = Report(
            fingerprint=checkpoint.fingerprint,
            calibrated_on=len(calibration),
            compared_on=len(compared),
            cosine_least=float(cosines.min()),
            cosine_median=float(np.median(cosines)),
            cosines=tuple(round(float(cosine), 6) for cosine in cosines),
            top_label_agreement=None if labels is None else _agreement(vectors, reference, labels),
            kept_in_float=kept_in_float,
            seconds_float32=seconds_float32,
            seconds_int8=seconds,
            bytes_float32=whole.with_suffix(".bin").stat().st_size,
            bytes_int8=graph.with_suffix(".bin").stat().st_size,
        )
        for file in (whole, whole.with_suffix(".bin")):
            file.unlink()
        (new / INT8_REPORT).write_text(json.dumps(asdict(report), indent=1) + "\n")
    return report


def _quantised(graph: Any, calibration: Sequence[Vectors]) -> Any:
    nncf = nncf_library()
    estimators = nncf.quantization.range_estimator.RangeEstimatorParametersSet
    return nncf.quantize(
        graph,
        nncf.Dataset([picture[None] for picture in calibration]),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.PERFORMANCE,  # symmetric
        subset_size=len(calibration),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=SMOOTHING, convolution=SMOOTHING),
            activations_range_estimator_params=estimators.MINMAX,
        ),
    )


def _mend(
    checkpoint: Checkpoint,
    graph: Path,
    pixels: Vectors,
    reference: Vectors,
    min_cosine: float,
    progress: Callable[[str], None],
) -> tuple[tuple[str, ...], Vectors, float]:
    """Takes inputs back to float, those that lose most first, until all pictures keep `min_cosine`.

    Returns their names, the embeddings and the seconds a picture. Raises EngineError where a quarter is not enough.
    """
    taken: list[str] = []
    ranked: list[str] = []
    most = 0
    while True:
        vectors, seconds = _encode(OpenVinoEngine(lambda: checkpoint.model, graph, "int8"), pixels)
        least = float((vectors * reference).sum(1).min())
        if least >= min_cosine:
            return tuple(taken), vectors, seconds
        if not ranked:
            worst = np.argsort((vectors * reference).sum(1))[:RANKED_ON]
            ranked = _by_loss(checkpoint, graph, pixels[worst], reference[worst], progress)
            most = int(len(ranked) * MAX_FLOAT_SHARE)
        if len(taken) >= most:
            raise EngineError(
                f"int8 keeps a cosine of {least:.4f} only, and {min_cosine} was asked for; nothing is written",
                hint="calibrate on more pictures, of every kind that will be embedded, or ask for less",
            )
        taken = ranked[: max(1, 2 * len(taken))][:most]
        progress(f"cosine {least:.4f}: keeping {len(taken)} inputs in float")
        model = load_graph(graph, mapped=False)
        _bypass(model, set(taken))
        save_graph(model, graph)


def _by_loss(
    checkpoint: Checkpoint, graph: Path, pixels: Vectors, reference: Vectors, progress: Callable[[str], None]
) -> list[str]:
    """Names of the quantised inputs by what the cosine gains when each alone is left in float, largest gain first."""
    gains: list[tuple[float, str]] = []
    names = _quantised_inputs(load_graph(graph))
    trial = graph.with_name("trial.xml")
    for number, name in enumerate(names):
        progress(f"measuring quantised input {number + 1} of {len(names)}")
        model = load_graph(graph)
        _bypass(model, {name})
        save_graph(model, trial)
        vectors, _ = _encode(OpenVinoEngine(lambda: checkpoint.model, trial, "int8"), pixels)
        gains.append((float((vectors * reference).sum(1).min()), name))
    for file in (trial, trial.with_suffix(".bin")):
        file.unlink(missing_ok=True)
    return [name for _, name in sorted(gains, reverse=True)]


def _quantised_inputs(model: Any) -> list[str]:
    return [op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() == "FakeQuantize"]


def _bypass(model: Any, names: set[str]) -> None:
    """Joins what follows a quantiser to what comes before it."""
    for op in model.get_ordered_ops():
        if op.get_friendly_name() in names and op.get_type_name() == "FakeQuantize":
            for reader in op.output(0).get_target_inputs():
                reader.replace_source_output(op.input_value(0))


def _encode(engine: OpenVinoEngine, pixels: Vectors) -> tuple[Vectors, float]:
    """Embeddings, and the least seconds for one picture."""
    engine.encode_images(pixels[:1])  # warm
    rows: list[Vectors] = []
    took: list[float] = []
    for i in range(len(pixels)):
        start = time.perf_counter()
        rows.append(engine.encode_images(pixels[i : i + 1]))
        took.append(time.perf_counter() - start)
    return np.concatenate(rows), min(took)


def _agreement(vectors: Vectors, reference: Vectors, labels: Vectors) -> float:
    return float(((vectors @ labels.T).argmax(1) == (reference @ labels.T).argmax(1)).mean())


def _link(files: Layout, target: Path) -> None:
    """The checkpoint's own files where they lie: its weights linked, or copied to another disk; the rest copied."""
    weights = _beside(files.weights, files.folder, target)
    if weights.parent == target or weights.suffix not in SUFFIXES:  # named by a user; here it must be found
        weights = weights.with_suffix(".safetensors")
    _link_file(files.weights, weights)
    small = [files.config]
    if files.tokenizer is not None:
        small += [files.tokenizer / name for name in TOKENIZER_FILES]
    for file in small:
        shutil.copyfile(file, _beside(file, files.folder, target))


def _beside(file: Path, folder: Path, target: Path) -> Path:
    """The place of a folder's file in `target`, whose folder is made."""
    place = target / file.relative_to(folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _link_file(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)  # a hub's cache holds links to files
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def nncf_library() -> Any:
    """The library, which reports to nobody. Raises MissingExtra."""
    library()  # which keeps both from reporting to their maker
    try:
        import nncf
    except ImportError:
        raise MissingExtra("nncf is not installed", hint="pip install 'dualsight[quantize]'") from None
    logging.setLoggerClass(logging.Logger)  # it had made its own class that of every logger to come
    logging.getLogger("nncf").setLevel(logging.ERROR)  # `nncf.set_log_level` would set handlers that are not its own
    return nncf
