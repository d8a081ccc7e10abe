"""The onnxruntime engine: the image tower in ONNX Runtime, float32, on the processor. Texts stay in torch.

    model ──image_graph──▶ image.onnx, image.onnx.data (made once, kept) ──▶ session ──▶ embeddings

The only file that imports onnxruntime.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from dualsight.engine.agreement import check_images
from dualsight.engine.cache import kept, key_of
from dualsight.engine.graph import converting, image_graph
from dualsight.engine.torch import TorchEngine
from dualsight.errors import MissingExtra
from dualsight.model.dual import DualEncoder

GRAPH = "image.onnx"
OPSET = 18  # of 2022: what the graphs need, and runtimes of some age understand


class OnnxEngine:
    """Runs a DualEncoder's image tower in ONNX Runtime on the processor, its text tower in torch, float32."""

    precision = "float32"

    def __init__(self, model: DualEncoder, graph: Path) -> None:
        """graph: an .onnx that `write_onnx` has written, of this model. Raises MissingExtra without onnxruntime."""
        self._session = open_session(graph)
        self._texts = TorchEngine(model)

    @property
    def name(self) -> str:
        """Library, precision, device."""
        return f"onnxruntime {version()}, float32, cpu"

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised pixels [B, 3, H, W] → embeddings [B, D] of unit length."""
        embeddings: NDArray[np.float32] = self._session.run(None, {"pixels": pixels})[0]
        return embeddings

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Token ids [B, L] and their mask → embeddings [B, D] of unit length."""
        return self._texts.encode_texts(input_ids, attention_mask)


def onnx_engine(model: DualEncoder, *, size: tuple[int, int], fingerprint: str) -> OnnxEngine:
    """The engine of a model, its graph made once and kept for these weights, this size and this ONNX Runtime.

    size: height and width of pictures. fingerprint: of the weights as they are. It is compared with torch on one
    picture before it is kept: raises EngineError where they differ.
    """
    facts = (version(), fingerprint, *map(str, size))
    graph = kept(key_of("onnx graph", *facts), lambda folder: _write_images(model, size, folder / GRAPH)) / GRAPH
    engine = OnnxEngine(model, graph)
    kept(key_of("onnx agrees", *facts), lambda folder: check_images(engine, model, size))
    return engine


def library() -> Any:
    """ONNX Runtime. Raises MissingExtra. Its Windows builds report to their maker unless told not to."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("onnxruntime is not installed", hint="pip install 'dualsight[onnx]'") from None
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def version() -> str:
    """ONNX Runtime's version. Raises MissingExtra."""
    return str(library().__version__)


def open_session(file: Path) -> Any:
    """An .onnx ready to run, in as many threads as torch has. Raises MissingExtra."""
    runtime = library()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # left to itself it ties threads to cores it may not have
    return runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def write_onnx(graph: ExportedProgram, file: Path) -> None:
    """A graph of `engine.graph` as an .onnx, its weights in .onnx.data beside it, without a word of where it was made.

    Inputs have the graph's names, the output is `embeddings`; axes of any length are called `batch` and `length`.
    Raises MissingExtra without onnx and onnxscript.
    """
    try:
        import onnxscript  # noqa: F401 - torch writes ONNX with it
    except ImportError:
        raise MissingExtra("onnx and onnxscript are not installed", hint="pip install 'dualsight[onnx]'") from None
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    with converting():
        program: Any = torch.onnx.export(
            graph, dynamo=True, opset_version=OPSET, output_names=["embeddings"], verbose=False
        )
    for given in program.model.graph.inputs:
        axes = zip(given.shape, ("batch", "length"), strict=False)
        program.rename_axes({axis: name for axis, name in axes if not isinstance(axis, int)})
    for node in program.model.graph:
        node.metadata_props.clear()  # lines of source, with the folders they lie in
    program.save(file, external_data=True)


def _write_images(model: DualEncoder, size: tuple[int, int], file: Path) -> None:
    write_onnx(image_graph(model, size, any_batch=True), file)
