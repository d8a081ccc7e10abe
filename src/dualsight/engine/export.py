"""Both encoders as files that ONNX Runtime or OpenVINO runs without this package, and without torch.

    FOLDER/image.onnx, image.onnx.data, text.onnx, text.onnx.data          of --format onnx
    FOLDER/image.xml, image.bin, text.xml, text.bin                        of --format openvino
    FOLDER/vocab.json, merges.txt                                          the tokenizer's
    FOLDER/export.json                                                     what goes in, and how close to torch it is

Any number of pictures or texts at a time. What was written is opened again and compared with torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch.export import ExportedProgram

from dualsight.checkpoint.layout import TOKENIZER_FILES
from dualsight.checkpoint.load import Checkpoint
from dualsight.checkpoint.save import tokenizer_file, whole_folder
from dualsight.engine.agreement import TOLERANCE, smooth_pixels
from dualsight.engine.graph import image_graph, text_graph
from dualsight.engine.torch import TorchEngine
from dualsight.errors import EngineError

Format = Literal["onnx", "openvino"]
Run = Callable[[Mapping[str, NDArray[Any]]], NDArray[np.float32]]

TEXTS = ("x-ray chest anteroposterior pneumonia", "mri brain", "", "ct abdomen axial ascites " * 30)
"""Compared with torch: of several lengths, none, and more than the context holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Largest difference to torch's embeddings of what was written, over several batches."""

    images: float
    texts: float


def export(
    checkpoint: Checkpoint, folder: Path, format: Format, *, progress: Callable[[str], None] = lambda step: None
) -> Differences:
    """Writes `folder`, which must be new or empty: both encoders in float32, compared with torch on write.

    Raises MissingExtra without the format's libraries; EngineError where an embedding differs from torch's by more than
    1e-5: then nothing is written. Raises OutputError if the folder is in use or cannot be written.
    """
    write, open_file, suffix = _onnx() if format == "onnx" else _openvino()
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width
    with whole_folder(folder) as new:
        files = {name: new / f"{name}{suffix}" for name in ("image", "text")}
        progress("writing the image encoder")
        write(image_graph(checkpoint.model, size, any_batch=True), files["image"])
        progress("writing the text encoder")
        write(text_graph(checkpoint.model), files["text"])
        progress("comparing both with torch")
        found = Differences(
            images=_image_difference(checkpoint, open_file(files["image"]), size),
            texts=_text_difference(checkpoint, open_file(files["text"])),
        )
        if not max(found.images, found.texts) <= TOLERANCE["float32"]:
            raise EngineError(f"{format}: embeddings differ from torch's ({found}); nothing is written")
        for name in TOKENIZER_FILES:
            (new / name).write_bytes(tokenizer_file(checkpoint.tokenizer_folder, name))
        (new / "export.json").write_text(json.dumps(_description(checkpoint, files, found), indent=1) + "\n")
    return found


def _description(checkpoint: Checkpoint, files: Mapping[str, Path], found: Differences) -> dict[str, Any]:
    """All that a program needs to know to use the files."""
    preprocessing = asdict(checkpoint.config.preprocessing)
    return {
        "model": checkpoint.name,
        "fingerprint": checkpoint.fingerprint,
        "image": {
            "file": files["image"].name,
            "pixels": "float32 [batch, 3, height, width]: RGB from 0 to 1, less the mean, by the standard deviation",
            **preprocessing,
        },
        "text": {
            "file": files["text"].name,
            "input_ids": "int64 [batch, length]: start, words, end, then padding of the end token's id",
            "attention_mask": "int64 [batch, length]: 1 at tokens, 0 at padding",
            "context_length": checkpoint.config.dual.text.context_length,
            "start_id": checkpoint.tokenizer.start_id,
            "end_id": checkpoint.tokenizer.end_id,
        },
        "embeddings": "float32 [batch, width], of unit length; logits are logit_scale · image · text",
        "logit_scale": math.exp(checkpoint.model.logit_scale.item()),
        "largest_difference_to_torch": asdict(found),
    }


def _image_difference(checkpoint: Checkpoint, run: Run, size: tuple[int, int]) -> float:
    pixels = smooth_pixels(3, size)
    expected = TorchEngine(checkpoint.model).encode_images(pixels)
    return max(float(np.abs(run({"pixels": pixels[:n]}) - expected[:n]).max()) for n in (1, 3))


def _text_difference(checkpoint: Checkpoint, run: Run) -> float:
    engine, context_length = TorchEngine(checkpoint.model), checkpoint.config.dual.text.context_length
    worst = 0.0
    for texts in (TEXTS, TEXTS[:1], TEXTS[:3]):
        tokens = checkpoint.tokenizer(texts, context_length=context_length)
        expected = engine.encode_texts(tokens.input_ids, tokens.attention_mask)
        found = run({"input_ids": tokens.input_ids, "attention_mask": tokens.attention_mask})
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def _onnx() -> tuple[Callable[[ExportedProgram, Path], None], Callable[[Path], Run], str]:
    from dualsight.engine.onnx import library, open_session, write_onnx

    library()

    def open_file(file: Path) -> Run:
        session = open_session(file)
        return lambda given: session.run(None, dict(given))[0]

    return write_onnx, open_file, ".onnx"


def _openvino() -> tuple[Callable[[ExportedProgram, Path], None], Callable[[Path], Run], str]:
    from dualsight.engine.openvino import library, open_graph, write_for_anybody

    library()

    def open_file(file: Path) -> Run:
        compiled = open_graph(file)
        return lambda given: compiled(dict(given))[0]

    return write_for_anybody, open_file, ".xml"
