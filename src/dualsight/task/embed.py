"""Pictures and texts → embeddings: streams in, streams out, order kept, one bad picture alone.

image sources ──open──▶ frames ──prepare──▶ pixels ──batches──▶ engine ──▶ Embedded | Failed
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dualsight.engine.ahead import read_ahead
from dualsight.engine.base import Engine
from dualsight.errors import ImageError, TextError
from dualsight.image.frame import Frame, FrameMeta
from dualsight.image.open import Source, read
from dualsight.image.prepare import Preprocessing, prepare
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.text.tokenizer import Tokenizer

Vector = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedded:
    """One picture's embedding.

    index: the position of its source in the stream. vector: float32 [D], unit length. frame_index: from 0,
    None where the vector stands for a whole file of several frames.
    """

    index: int
    source: str
    frame_index: int | None
    n_frames: int
    meta: FrameMeta
    vector: Vector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Failed:
    """A source that gave no embedding, and why."""

    index: int
    source: str
    error: ImageError


def embed_frames(
    images: Iterable[Source | Item],
    engine: Engine,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 8,
    reading: Reading,
) -> Iterator[Embedded | Failed]:
    """Every frame of every source, in order. A source that fails half-way gives its good frames first.

    Decoding runs ahead of the encoder by two batches; nothing else is kept.
    """
    prepared = read_ahead(_prepared(images, preprocessing, reading), depth=2 * batch_size)
    for batch in _batches(prepared, batch_size):
        pixels = [item.vector for item in batch if isinstance(item, Embedded)]  # not yet vectors: [3, H, W] each
        vectors = iter(engine.encode_images(np.stack(pixels)) if pixels else ())
        for item in batch:
            yield replace(item, vector=next(vectors)) if isinstance(item, Embedded) else item


def pool_frames(stream: Iterable[Embedded | Failed]) -> Iterator[Embedded | Failed]:
    """One result a source: the normalised mean of its frames' vectors, or its failure."""
    group: list[Embedded] = []
    for item in stream:
        if group and item.index != group[0].index:
            yield _pooled(group)
            group = []
        if isinstance(item, Failed):
            group = []  # a source that failed half-way has failed
            yield item
        else:
            group.append(item)
    if group:
        yield _pooled(group)


def _pooled(frames: Sequence[Embedded]) -> Embedded:
    if len(frames) == 1:
        return frames[0]
    mean = np.mean([frame.vector for frame in frames], axis=0)
    return replace(frames[0], frame_index=None, vector=(mean / np.linalg.norm(mean)).astype(np.float32))


def _prepared(
    images: Iterable[Source | Item], preprocessing: Preprocessing, reading: Reading
) -> Iterator[Embedded | Failed]:
    """Sources as pixels; `vector` holds [3, H, W] until the engine has seen it."""
    for index, image in enumerate(images):
        name = source_name(image, index)
        try:
            for frame in _frames(image, name, reading):
                yield Embedded(
                    index=index,
                    source=frame.source,
                    frame_index=frame.frame_index,
                    n_frames=frame.n_frames,
                    meta=frame.meta,
                    vector=prepare(frame, preprocessing),
                )
        except ImageError as error:
            yield Failed(index=index, source=name, error=error)


def _frames(image: Source | Item, name: str, reading: Reading) -> Iterator[Frame]:
    return image.frames(reading) if isinstance(image, Item) else read(image, reading, source=name)


def source_name(image: Source | Item, index: int) -> str:
    """What to call a source: the path, item or frame's own name that the user gave, else its position."""
    if isinstance(image, Frame):
        return image.source
    if isinstance(image, Item):
        return image.name
    if hasattr(image, "__fspath__"):
        return str(image)
    if isinstance(image, str) and len(image) < 512 and not image.startswith("data:"):
        return image
    return f"image {index}"


def _batches(stream: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(stream)
    while batch := list(islice(iterator, size)):
        yield batch


class TextEmbedder:
    """Texts → embeddings, with a bounded memory: a label that was seen before costs nothing."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer, context_length: int, *, capacity: int = 10_000) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.capacity = capacity
        self._seen: OrderedDict[str, Vector] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str], *, batch_size: int = 64) -> Vector:
        """float32 [n, D], unit length, in the order of `texts`.

        Raises TextError if one is not a string.
        """
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise TextError(f"text {i} is {type(text).__name__}, not a string")
        known: dict[str, Vector] = {}
        with self._lock:
            for text in texts:
                if text in self._seen:
                    self._seen.move_to_end(text)
                    known[text] = self._seen[text]
        new = sorted({text for text in texts if text not in known}, key=lambda text: (len(text), text))
        for batch in _batches(new, batch_size):  # alike in length, so that little of a batch is padding
            tokens = self.tokenizer(batch, context_length=self.context_length)
            known.update(zip(batch, self.engine.encode_texts(tokens.input_ids, tokens.attention_mask), strict=True))
        self._remember({text: known[text] for text in new})
        return np.stack([known[text] for text in texts])

    def _remember(self, new: dict[str, Vector]) -> None:
        with self._lock:
            self._seen.update(new)
            while len(self._seen) > self.capacity:
                self._seen.popitem(last=False)
