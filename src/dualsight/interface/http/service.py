"""What every contract asks for: pictures and texts of many clients → embeddings and answers. Knows no HTTP.

    picture ──decoding thread, in turn──▶ frames ──batcher──┐
                                                            ├──▶ one thread: the engine ──▶ vectors ──pool──▶ results
    text ──────────────(seen before: at once)──────batcher──┘

A request is admitted whole or not at all (QueueFull); when it is cancelled, what waits of it leaves. One bad picture
fails alone, as a `Failed` in its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dualsight.engine.batcher import Batcher
from dualsight.engine.turns import TurnPool
from dualsight.errors import ImageError, UnreadableImage
from dualsight.image.frame import Frame
from dualsight.image.prepare import normalise_all
from dualsight.image.reading import Reading, Window
from dualsight.interface.http.errors import code_of
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.metrics import Metrics
from dualsight.interface.http.pictures import Picture, Standardisation, resized_frames
from dualsight.task.classify import Classification, classify, label_embeddings
from dualsight.task.embed import Embedded, Failed
from dualsight.task.model import Model
from dualsight.task.pool import Per, pool_frames
from dualsight.text.prompts import fill

R = TypeVar("R")
Vector = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Encode = Callable[[Pixels], Awaitable[Vector]]

MAX_IMAGES = 32  # in a batch
MAX_TEXTS = 64
FRAMES_AT_A_TIME = 8  # of one file: what it may hold in memory
PLAIN = Standardisation()


class Service:
    """A model behind two queues. Made, used and closed in one event loop."""

    def __init__(self, model: Model, limits: ServerLimits, metrics: Metrics, *, cores: int) -> None:
        self.model = model
        self.limits = limits
        self._metrics = metrics
        # one more than there are cores for it: a slow picture must not stop those behind it
        self._workers = TurnPool(cores + 1, "dualsight-work")
        self._engine = ThreadPoolExecutor(1, "dualsight-engine")
        preprocessing = model.config.preprocessing
        self._room = np.empty((MAX_IMAGES, 3, preprocessing.height, preprocessing.width), np.float32)
        self._images: Batcher[Pixels, Vector] = Batcher(
            self._encode_images,
            self._engine,
            max_batch=MAX_IMAGES,
            max_items=limits.queued_images,
            on_batch=partial(metrics.count_batch, "image"),
        )
        self._texts: Batcher[str, Vector] = Batcher(
            lambda texts: list(model.encode_text(texts)),
            self._engine,
            max_batch=MAX_TEXTS,
            max_items=limits.queued_texts,
            on_batch=partial(metrics.count_batch, "text"),
        )

    async def warm_up(self) -> None:
        """Encodes batches of one and of several, so that the first client waits for nothing and costs are known."""
        preprocessing = self.model.config.preprocessing
        grey = np.full((preprocessing.height, preprocessing.width, 3), 128, np.uint8)
        for size in (1, 1, 4):
            with self._images.admit(size, "warm-up") as encode:
                await _together(encode(grey) for _ in range(size))
        await self.embed_texts(["x-ray chest"], client="warm-up")
        await asyncio.get_running_loop().run_in_executor(self._engine, lambda: self.model.fingerprint)

    async def close(self) -> None:
        """Waits for what is being computed, and ends the threads."""
        await self._images.drain()
        await self._texts.drain()
        self._workers.close()
        self._engine.shutdown()

    async def embed_images(
        self,
        pictures: Mapping[int, Picture],
        *,
        client: str,
        window: Window = "auto",
        per: Per = "image",
        standard: Standardisation = PLAIN,
    ) -> list[Embedded | Failed]:
        """What `Model.embed` gives for these pictures, whoever else asks at the time.

        pictures: by the index that results and errors name them with. per: "image" or "frame".
        Raises RequestTooLarge or QueueFull for the request as a whole.
        """
        self.limits.check_images(len(pictures))
        reading = Reading(window=window, limits=self.limits.image)
        with self._images.admit(len(pictures), client) as encode, self._in_hand("image", len(pictures)):
            results = await _together(
                self._embed(i, picture, reading, standard, encode, client) for i, picture in pictures.items()
            )
        frames = [frame for result in results for frame in result]
        for frame in frames:
            if isinstance(frame, Failed):
                self._metrics.item_errors.labels(code_of(frame.error)).inc()
        return frames if per == "frame" else list(pool_frames(frames, per=per))

    async def embed_texts(self, texts: Sequence[str], *, client: str) -> Vector:
        """float32 [n, D] of unit length, one row a text.

        Raises TextError for what is no text, and RequestTooLarge or QueueFull.
        """
        self.limits.check_texts(texts)
        if (remembered := self.model.recall_text(texts)) is not None:
            return remembered
        with self._texts.admit(len(texts), client) as encode, self._in_hand("text", len(texts)):
            return np.stack(await _together(map(encode, texts)))

    async def classify(
        self,
        pictures: Sequence[Picture],
        labels: Sequence[str],
        *,
        client: str,
        multilabel: bool = False,
        templates: Sequence[str] = ("{label}",),
        window: Window = "auto",
    ) -> list[Classification | Failed]:
        """What `Model.classify` gives for these pictures. Raises as `embed_images` and `embed_texts` do."""
        self.limits.check_labels(len(labels))
        self.limits.check_prompts(labels, templates)
        embedded: list[Embedded | Failed]
        vectors: Vector
        embedded, vectors = await _together(
            (
                self.embed_images(dict(enumerate(pictures)), client=client, window=window),
                self._embed_labels(labels, templates, client),
            )
        )
        scale = self.model.logit_scale
        return [
            item if isinstance(item, Failed) else classify(item, labels, vectors, scale, multilabel=multilabel)
            for item in embedded
        ]

    async def count_tokens(self, texts: Sequence[str], *, client: str) -> int:
        """How many tokens these texts are, start and end included."""

        def count() -> int:
            tokens = self.model.checkpoint.tokenizer(texts, context_length=self.model.config.dual.text.context_length)
            return int(tokens.attention_mask.sum())

        return await self._workers.run(count, client) if texts else 0

    async def _embed_labels(self, labels: Sequence[str], templates: Sequence[str], client: str) -> Vector:
        prompts = [prompt for prompts in fill(templates, labels) for prompt in prompts]
        vectors = await self.embed_texts(prompts, client=client)
        return label_embeddings(labels, templates, lambda _: vectors)

    async def _embed(
        self,
        index: int,
        picture: Picture,
        reading: Reading,
        standard: Standardisation,
        encode: Encode,
        client: str,
    ) -> list[Embedded | Failed]:
        """The frames of one picture, a few at a time; those before a failure, then the failure."""
        source = f"image {index}"
        frames = resized_frames(picture, reading, self.model.config.preprocessing, standard, source=source)
        done: list[Embedded | Failed] = []
        try:
            some: list[Frame]
            while some := await self.run("decode", partial(list, islice(frames, FRAMES_AT_A_TIME)), client=client):
                vectors = await _together(encode(frame.pixels) for frame in some)
                done += map(partial(_embedded, index), some, vectors)
                if some[-1].frame_index == some[-1].n_frames - 1:
                    break
            if not done:
                raise UnreadableImage("no frame in it", source=source)
        except ImageError as error:
            done.append(Failed(index=index, source=source, error=error))
        return done

    async def run(self, stage: str, work: Callable[[], R], *, client: str) -> R:
        """What `work` returns, in one of the threads for all but the engine, once it is the client's turn."""

        def timed() -> R:
            with self._metrics.stage_seconds.labels(stage).time():
                return work()

        return await self._workers.run(timed, client)

    def _encode_images(self, pictures: list[Pixels]) -> list[Vector]:
        """In the engine's thread, the only one that touches `_room`."""
        pixels = normalise_all(pictures, self.model.config.preprocessing, self._room)
        return list(self.model.engine.encode_images(pixels))

    @contextmanager
    def _in_hand(self, kind: str, n: int) -> Generator[None, None, None]:
        gauge = self._metrics.in_hand.labels(kind)
        gauge.inc(n)
        try:
            yield
        finally:
            gauge.dec(n)


def _embedded(index: int, frame: Frame, vector: Vector) -> Embedded:
    return Embedded(
        index=index,
        source=frame.source,
        frame_index=frame.frame_index,
        n_frames=frame.n_frames,
        meta=frame.meta,
        vector=vector,
    )


async def _together(work: Iterable[Awaitable[Any]]) -> list[Any]:
    """All results, in order. When one fails, the others are cancelled, and have given back what they held."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
