"""The onnxruntime engine: the image tower in ONNX Runtime, float32, on the processor. Texts stay in torch.

    model ──image_graph──▶ image.onnx, image.onnx.data (made once, kept) ──▶ session ──▶ embeddings

The only file that imports onnxruntime.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dualsight.engine.cache import kept, key_of
from dualsight.engine.processor import n_cores, told_threads
from dualsight.engine.texts import TextsByTorch
from dualsight.errors import MissingExtra

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from dualsight.model.dual import DualEncoder

GRAPH = "image.onnx"
OPSET = 18  # of 2022: what the graphs need, and runtimes of some age understand


class OnnxEngine(TextsByTorch):
    """Runs a DualEncoder's image tower in ONNX Runtime on the processor, its text tower in torch, float32."""

    precision = "float32"

    def __init__(self, load_model: Callable[[], DualEncoder], graph: Path) -> None:
        """graph: an .onnx that `write_onnx` has written, of this model. Raises MissingExtra without onnxruntime."""
        super().__init__(load_model)
        self._session = open_session(graph)

    @property
    def name(self) -> str:
        """Library, precision, device."""
        return f"onnxruntime {version()}, float32, cpu"

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised pixels [B, 3, H, W] → embeddings [B, D] of unit length."""
        embeddings: NDArray[np.float32] = self._session.run(None, {"pixels": pixels})[0]
        return embeddings


def onnx_engine(load_model: Callable[[], DualEncoder], *, size: tuple[int, int], fingerprint: str) -> OnnxEngine:
    """The engine of a model, its graph made once and kept for these weights, this size and this ONNX Runtime.

    size: height and width of pictures. fingerprint: of the weights as they are. It is compared with torch on one
    picture before it is kept: raises EngineError where they differ. From then on it starts without the model.
    """

    def write(folder: Path) -> None:
        from dualsight.engine.graph import image_graph

        write_onnx(image_graph(load_model(), size, any_batch=True), folder / GRAPH)

    def check(folder: Path) -> None:
        from dualsight.engine.agreement import check_images

        check_images(engine, load_model(), size)

    facts = (version(), fingerprint, *map(str, size))
    engine = OnnxEngine(load_model, kept(key_of("onnx graph", *facts), write) / GRAPH)
    kept(key_of("onnx agrees", *facts), check)
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
    """An .onnx ready to run. Raises MissingExtra."""
    runtime = library()
    options = runtime.SessionOptions()
    # left to itself it ties threads to cores that it may not have
    options.intra_op_num_threads = told_threads() or n_cores()
    return runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def write_onnx(graph: ExportedProgram, file: Path) -> None:
    """A graph of `engine.graph` as an .onnx, its weights in .onnx.data beside it, without a word of where it was made.

    Inputs have the graph's names, the output is `embeddings`; axes of any length are called `batch` and `length`.
    Raises MissingExtra without onnx and onnxscript.
    """
    try:
        import_module("onnxscript")  # torch writes ONNX with it
    except ImportError:
        raise MissingExtra("onnx and onnxscript are not installed", hint="pip install 'dualsight[onnx]'") from None
    import torch

    from dualsight.engine.graph import converting

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
