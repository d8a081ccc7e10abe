"""A server's JSON → the results that `Model` gives."""

from __future__ import annotations

import base64
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dualsight.errors import ImageError, ImageTooLarge, ServiceError, UnreadableImage, UnsupportedImage
from dualsight.image.frame import FrameMeta
from dualsight.interface.client.upload import Upload
from dualsight.store.hits import SCORE, Hits
from dualsight.task.classify import Classification
from dualsight.task.embed import Embedded
from dualsight.task.prepared import Failed

Vectors = NDArray[np.float32]

IMAGE_ERRORS: dict[str, type[ImageError]] = {
    "unreadable_image": UnreadableImage,
    "unsupported_image": UnsupportedImage,
    "image_too_large": ImageTooLarge,
    "body_too_large": ImageTooLarge,  # of one picture
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a server says of its model.

    name: how its checkpoint is called. fingerprint: hash of weights, configuration and preprocessing. notice: what to
    say wherever an output is shown, or empty. embedding_size: D. image_size: height and width, in pixels.
    context_length: in tokens. logit_scale: a logarithm. engine: who computes. version: of dualsight.
    """

    name: str
    fingerprint: str
    notice: str
    embedding_size: int
    image_size: tuple[int, int]
    context_length: int
    logit_scale: float
    engine: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """A map in numbers: see `dualsight.explain`. hottest: (x, y) in pixels of the frame, from 0; the rest in `unit`."""

    label: str
    against: tuple[str, ...]
    similarity: float
    method: str
    unit: str
    hottest: tuple[int, int]
    maximum: float
    minimum: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A frame's maps, and `overlay`: a PNG of them over the frame. Never a diagnosis; say `notice` beside it."""

    source: str
    frame_index: int
    n_frames: int
    maps: tuple[HeatMap, ...]
    overlay: bytes
    notice: str


@contextmanager
def understood(service: str) -> Generator[None, None, None]:
    """What is not where it should be in an answer is a ServiceError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ServiceError(
            f"the answer is not of the form that is expected ({type(error).__name__})",
            service=service,
            hint="is it a dualsight server, of this version?",
        ) from error


def model_info(document: Mapping[str, Any]) -> ModelInfo:
    """The answer of /v1/model."""
    height, width = document["image_size"]
    return ModelInfo(
        name=str(document["model"]),
        fingerprint=str(document["fingerprint"]),
        notice=str(document["notice"]),
        embedding_size=int(document["embedding_size"]),
        image_size=(int(height), int(width)),
        context_length=int(document["context_length"]),
        logit_scale=float(document["logit_scale"]),
        engine=str(document["engine"]),
        version=str(document["version"]),
    )


def embedded(row: Mapping[str, Any], upload: Upload) -> Embedded | Failed:
    """A picture's row of /v1/embed. A server does not repeat what a file says of itself: `meta` is empty."""
    if "error" in row:
        return failed(row, upload)
    return Embedded(
        index=upload.index,
        source=upload.source,
        frame_index=row["frame_index"],
        n_frames=int(row["n_frames"]),
        meta=FrameMeta(),
        vector=vector(row),
    )


def classification(row: Mapping[str, Any], upload: Upload, *, multilabel: bool) -> Classification | Failed:
    """A picture's row of /v1/classify."""
    if "error" in row:
        return failed(row, upload)
    return Classification(
        source=upload.source,
        frame_index=None,
        n_frames=int(row.get("n_frames", 1)),
        meta=FrameMeta(),
        labels=tuple(map(str, row["labels"])),
        probabilities=tuple(map(float, row["probabilities"])),
        multilabel=multilabel,
    )


def vector(row: Mapping[str, Any]) -> Vectors:
    """float32 [D]."""
    return np.asarray(row["vector"], np.float32)


def explained(document: Mapping[str, Any], upload: Upload) -> Explained:
    """The answer of /v1/explain."""
    return Explained(
        source=upload.source,
        frame_index=int(document["frame_index"]),
        n_frames=int(document["n_frames"]),
        maps=tuple(map(_heat_map, document["maps"])),
        overlay=base64.b64decode(document["overlay"], validate=True),
        notice=str(document["notice"]),
    )


def _heat_map(row: Mapping[str, Any]) -> HeatMap:
    return HeatMap(
        label=str(row["label"]),
        against=tuple(map(str, row["against"])),
        similarity=float(row["similarity"]),
        method=str(row["method"]),
        unit=str(row["unit"]),
        hottest=(int(row["hottest"]["x"]), int(row["hottest"]["y"])),
        maximum=float(row["maximum"]),
        minimum=float(row["minimum"]),
        mean=float(row["mean"]),
    )


def hits(document: Mapping[str, Any]) -> Hits:
    """The answer of /v1/search."""
    rows = document["hits"]
    table = pa.Table.from_pylist(rows) if rows else pa.table({SCORE: pa.array([], pa.float64())})
    return Hits(table=table, is_exact=bool(document["exact"]), n_rows=int(document["n_rows"]))


def failed(row: Mapping[str, Any], upload: Upload) -> Failed:
    """A picture that the server could not use, under the name that its owner knows: to the server it is "image 3"."""
    error = row["error"]
    kind = IMAGE_ERRORS.get(error["code"], ImageError)
    problem = str(error["message"]).removeprefix(f"image {row['index']}").lstrip(":, ")
    hint = str(error["details"].get("hint", ""))
    return Failed(index=upload.index, source=upload.source, error=kind(problem, source=upload.source, hint=hint))
