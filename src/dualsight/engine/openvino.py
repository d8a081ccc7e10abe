"""The OpenVINO engine: the image tower compiled for this processor. Texts stay in torch, which packs them.

    model ──image_graph──▶ image.xml, image.bin (made once, kept) ──mapped──▶ compiled ──▶ embeddings

The only file that imports openvino. Compiled for one picture at a time: with a batch of unknown size OpenVINO copies
every depthwise convolution's result twice (1.60 s a picture instead of 1.35 s), and one picture keeps all cores busy.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from dualsight.engine.cache import kept, key_of
from dualsight.engine.memory import forget_mapping
from dualsight.engine.processor import has_bfloat16, told_threads
from dualsight.engine.texts import TextsByTorch
from dualsight.errors import EngineError, MissingExtra, OutputError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dualsight.model.dual import DualEncoder

GRAPH = "image.xml"
FORM = "float32 between products"  # of the graphs that are kept: changes with how they are written
Precision = Literal["float32", "bfloat16", "int8"]


class OpenVinoEngine(TextsByTorch):
    """Runs a DualEncoder's image tower in OpenVINO on the processor, its text tower in torch, float32."""

    def __init__(self, load_model: Callable[[], DualEncoder], graph: Path, precision: Precision = "float32") -> None:
        """graph: an .xml that `write_graph` or quantisation has written, of this model.

        Raises MissingExtra without openvino, EngineError where this processor has no such arithmetic.
        """
        super().__init__(load_model)
        self._compiled = _compile(graph, precision)
        self._computing = threading.Lock()  # a compiled graph takes one caller at a time, and one takes all cores
        self.precision = precision

    @property
    def name(self) -> str:
        """Library, precision, device."""
        return f"openvino {version()}, {self.precision}, cpu"

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised pixels [B, 3, H, W] → embeddings [B, D] of unit length."""
        with self._computing:
            rows = [np.array(self._compiled(pixels[i : i + 1])[0][0], np.float32) for i in range(len(pixels))]
        return np.stack(rows) if rows else np.empty((0, self._compiled.output().shape[1]), np.float32)


def openvino_engine(
    load_model: Callable[[], DualEncoder],
    *,
    size: tuple[int, int],
    fingerprint: str,
    precision: Literal["float32", "bfloat16"],
) -> OpenVinoEngine:
    """The engine of a model, its graph made once and kept for these weights, this size and this OpenVINO.

    size: height and width of pictures. fingerprint: of the weights as they are. What was compiled is compared with
    torch on one picture before it is kept, for each precision: raises EngineError where they differ. From then on it
    starts without the model.
    """

    def check(folder: Path) -> None:
        from dualsight.engine.agreement import check_images

        check_images(engine, load_model(), size)

    facts = (version(), FORM, fingerprint, *map(str, size))
    graph = kept(key_of("openvino graph", *facts), lambda folder: write_graph(load_model(), size, folder / GRAPH))
    engine = OpenVinoEngine(load_model, graph / GRAPH, precision)
    kept(key_of("openvino agrees", precision, *facts), check)
    return engine


def library() -> Any:
    """OpenVINO. Raises MissingExtra.

    It and NNCF report their use to their maker if `openvino_telemetry` can be imported: from here on it cannot,
    unless the program had imported it before us.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # Python's way to say: not there
    try:
        import openvino
    except ImportError:
        raise MissingExtra("openvino is not installed", hint="pip install 'dualsight[openvino]'") from None
    return openvino


def version() -> str:
    """OpenVINO's version. Raises MissingExtra."""
    return str(library().__version__).split("-")[0]


def write_graph(model: DualEncoder, size: tuple[int, int], file: Path) -> None:
    """The image tower for one picture of `size` as OpenVINO's .xml and .bin, in float32."""
    from dualsight.engine.graph import image_graph

    write_openvino(image_graph(model, size), file)
    _keep_between_products(file)


def _keep_between_products(file: Path) -> None:
    """Marks all but the matrix products as computed in float32, where these are in bfloat16, as torch's autocast does.

    So the residual stream is not rounded, nor are pixels, where a shade of grey is little more than a bfloat16's step.
    What OpenVINO fuses with a product passes over it. Its files have a word for it, its Python has none.
    """
    tree = ElementTree.parse(file)  # noqa: S314 - written a moment ago, by us
    for layer in tree.iterfind("layers/layer"):
        if layer.get("type") not in ("MatMul", "Const", "Parameter", "Result"):
            facts = layer.find("rt_info")
            if facts is None:
                facts = ElementTree.Element("rt_info")
                layer.insert(1 if layer.find("data") is not None else 0, facts)
            ElementTree.SubElement(facts, "attribute", {"name": "precise", "version": "0"})
    tree.write(file)


def write_openvino(graph: ExportedProgram, file: Path) -> None:
    """A graph of `engine.graph` as OpenVINO's .xml and .bin, in float32: its inputs' names, and `embeddings`."""
    from dualsight.engine.graph import converting

    with converting():
        converted = library().convert_model(graph)
    converted.output().get_tensor().set_names({"embeddings"})
    save_graph(converted, file)


def write_for_anybody(graph: ExportedProgram, file: Path) -> None:
    """`write_openvino` for a program that compiles with OpenVINO's own settings: with its fused attention, which is
    right for a softmax that is taken apart, and so a little slower.
    """
    from dualsight.engine.graph import decomposed

    write_openvino(decomposed(graph), file)


def open_graph(file: Path) -> Any:
    """An .xml compiled for this processor in float32, ready to run."""
    return library().Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def load_graph(file: Path, *, mapped: bool = True) -> Any:
    """OpenVINO's model of an .xml; not `mapped`: its .bin may be written over."""
    return library().Core().read_model(file, config={"ENABLE_MMAP": mapped})


def save_graph(graph: Any, file: Path) -> None:
    """The .xml, and its .bin beside it, in the precision that the graph has. Raises OutputError."""
    try:
        library().save_model(graph, file, compress_to_fp16=False)
    except RuntimeError as error:  # all that it says of a full disk is that a stream has failed
        raise OutputError(f"{file}: cannot be written ({error})", hint="is there room?") from error


def _compile(graph: Path, precision: Precision) -> Any:
    if precision == "bfloat16" and not has_bfloat16():
        raise EngineError("this processor does not multiply bfloat16", hint="use float32")
    hints: dict[str, str | int | bool] = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        # its fused attention is wrong for windows that lack tokens (2026.4: embeddings at a cosine of 0.92)
        "SNIPPETS_MODE": "DISABLE",
    }
    if (threads := told_threads()) is not None:
        # else each of several processes ties its threads to the same cores, the first ones
        hints |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    compiled = library().Core().compile_model(graph, "CPU", hints)
    forget_mapping(graph.with_suffix(".bin"))  # the weights were packed elsewhere
    return compiled
