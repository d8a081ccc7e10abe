"""Pictures and texts → embeddings: streams in, streams out, order kept, one bad picture alone.

image sources ──prepare_ahead──▶ Prepared | Failed ──normalise──▶ batches ──▶ engine ──▶ Embedded | Failed
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dualsight.engine.base import AsyncEngine, Engine, check_batch_size
from dualsight.image.frame import FrameMeta
from dualsight.image.open import Source
from dualsight.image.prepare import Preprocessing, normalise_all
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.image.study import Series, Study
from dualsight.task.prepared import PATIENCE_S, Failed, Prepared, prepare_ahead
from dualsight.text.tokenizer import Tokenizer, check_text

__all__ = ["Embedded", "Failed", "TextEmbedder", "embed_frames", "embed_prepared"]

DEVICE_PATIENCE_S = 0.2
"""For an engine on a device of its own, which leaves the processor to the decoders and waits for them soon."""

Vector = NDArray[np.float32]
Start = Callable[[Sequence[NDArray[np.uint8]]], Callable[[], Vector]]
"""Begins to encode resized pictures [h, w, 3]; what it returns waits for their vectors [B, D]."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedded:
    """One picture's embedding.

    index: the position of its source in the stream. vector: float32 [D], unit length. frame_index: from 0,
    None where the vector stands for several frames together: `n_frames` of them, of a file, series or study.
    """

    index: int
    source: str
    frame_index: int | None
    n_frames: int
    meta: FrameMeta
    vector: Vector


def embed_frames(
    images: Iterable[Source | Item | Series | Study],
    engine: Engine,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 8,
    reading: Reading,
    workers: int | None = None,
) -> Iterator[Embedded | Failed]:
    """Every frame of every source, in order. A source that fails half-way gives its good frames first.

    Pictures are opened ahead of the encoder, by two batches; nothing else is kept. workers: see `prepare_ahead`.
    """
    patience_s = DEVICE_PATIENCE_S if isinstance(engine, AsyncEngine) else PATIENCE_S
    ahead = prepare_ahead(images, preprocessing, reading, depth=2 * batch_size, workers=workers, patience_s=patience_s)
    with closing(ahead) as prepared:
        yield from embed_prepared(prepared, engine, preprocessing, batch_size=batch_size)


def embed_prepared(
    pictures: Iterable[Prepared | Failed], engine: Engine, preprocessing: Preprocessing, *, batch_size: int = 8
) -> Iterator[Embedded | Failed]:
    """Pictures that were opened and resized → their embeddings, in order.

    One batch is computed while the next is collected. Raises ConfigError for a `batch_size` under 1 at once, and later
    what `pictures` and the engine raise, after the batches before it.
    """
    check_batch_size(batch_size)
    return _embed_prepared(pictures, engine, preprocessing, batch_size)


def _embed_prepared(
    pictures: Iterable[Prepared | Failed], engine: Engine, preprocessing: Preprocessing, batch_size: int
) -> Iterator[Embedded | Failed]:
    batches = _batches(pictures, batch_size)
    before: Iterator[Embedded | Failed] = iter(())  # results of the batch that is computed
    with _starting(engine, preprocessing, batch_size) as start:
        while True:
            try:
                batch = next(batches, None)
                begun = None if batch is None else _begin(batch, start)
            except Exception:
                yield from before
                raise
            yield from before
            if begun is None:
                return
            before = begun


@contextmanager
def _starting(engine: Engine, preprocessing: Preprocessing, batch_size: int) -> Generator[Start, None, None]:
    """How pictures are begun. A processor's engine computes in a thread: Python's lock is free meanwhile.

    Less than a first batch is most likely all there is, and computed at once: a thread's own team of cores would take
    half as long again as one small picture.
    """
    if isinstance(engine, AsyncEngine):
        yield partial(engine.start_images, preprocessing=preprocessing)
        return
    shape = (batch_size, 3, preprocessing.height, preprocessing.width)
    rooms = np.empty(shape, np.float32), np.empty(shape, np.float32)  # one is computed, one is filled
    n_begun = 0
    with ThreadPoolExecutor(1, "dualsight-encoder") as thread:

        def start(resized: Sequence[NDArray[np.uint8]]) -> Callable[[], Vector]:
            nonlocal n_begun
            n_begun += 1
            pixels = normalise_all(resized, preprocessing, rooms[n_begun % 2])
            if n_begun == 1 and len(resized) < batch_size:
                vectors = engine.encode_images(pixels)
                return lambda: vectors
            return thread.submit(engine.encode_images, pixels).result

        yield start


def _begin(batch: list[Prepared | Failed], start: Start) -> Iterator[Embedded | Failed]:
    """A batch's results; they are waited for when the first is asked for."""
    resized = [item.resized for item in batch if isinstance(item, Prepared)]
    return _finished(batch, start(resized) if resized else None)


def _finished(batch: list[Prepared | Failed], wait: Callable[[], Vector] | None) -> Iterator[Embedded | Failed]:
    vectors = iter(() if wait is None else wait())
    for item in batch:
        yield item if isinstance(item, Failed) else _embedded(item, next(vectors))


def _embedded(picture: Prepared, vector: Vector) -> Embedded:
    return Embedded(
        index=picture.index,
        source=picture.source,
        frame_index=picture.frame_index,
        n_frames=picture.n_frames,
        meta=picture.meta,
        vector=vector,
    )


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

        Raises TextError if one is no string, or not valid Unicode.
        """
        for index, text in enumerate(texts):  # before they are sorted: an error names the caller's own index
            check_text(text, index)
        known = self._known(texts)
        new = sorted({text for text in texts if text not in known}, key=lambda text: (len(text), text))
        for batch in _batches(new, batch_size):  # alike in length, so that little of a batch is padding
            tokens = self.tokenizer(batch, context_length=self.context_length)
            known.update(zip(batch, self.engine.encode_texts(tokens.input_ids, tokens.attention_mask), strict=True))
        self._remember({text: known[text] for text in new})
        return np.stack([known[text] for text in texts])

    def recall(self, texts: Sequence[str]) -> Vector | None:
        """What a call would give, where it costs nothing: float32 [n, D], n ≥ 1, if all were seen before."""
        known = self._known(texts)
        return np.stack([known[text] for text in texts]) if all(text in known for text in texts) else None

    def _known(self, texts: Sequence[str]) -> dict[str, Vector]:
        known: dict[str, Vector] = {}
        with self._lock:
            for text in texts:
                if text in self._seen:
                    self._seen.move_to_end(text)
                    known[text] = self._seen[text]
        return known

    def _remember(self, new: dict[str, Vector]) -> None:
        with self._lock:
            self._seen.update(new)
            while len(self._seen) > self.capacity:
                self._seen.popitem(last=False)
