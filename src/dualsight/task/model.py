"""`Model`: a checkpoint, an engine, and the tasks they answer. What `dualsight.load` returns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from dualsight.checkpoint.load import Checkpoint, open_checkpoint
from dualsight.engine.base import Engine, check_batch_size
from dualsight.engine.select import EngineName, Precision, choose
from dualsight.errors import DualsightError, ImageError
from dualsight.image.grouping import group
from dualsight.image.open import Source
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.image.study import Series, Study
from dualsight.task.classify import Classification, classify, label_embeddings
from dualsight.task.embed import Embedded, Failed, TextEmbedder, embed_frames
from dualsight.task.pool import Per, Pool, check_pooling, pool_frames
from dualsight.task.prepared import Images, as_stream
from dualsight.text.prompts import PLAIN

OnError = Literal["raise", "skip", "return"]
BatchSize = int | Literal["auto"]
Vectors = NDArray[np.float32]

DEFAULT = Reading()
SERIES_AT_A_TIME = 2  # each may be a volume in memory
DEMO_NOTICE = "demonstration model, trained on procedural phantoms: research software, never for diagnosis"


def load(
    where: str | Path = "demo",
    *,
    device: str = "cpu",
    engine: EngineName = "auto",
    precision: Precision | None = None,
    compiled: int | None = None,
) -> Model:
    """A model from a checkpoint folder or file, a Hugging Face hub id ("owner/name", "owner/name@revision"), or "demo".

    engine: who computes; "auto" is the quickest of those installed, measured once on this machine. precision: "exact"
    (float32, the default), "fast" (whatever is quickest here), or one by name; a quantised checkpoint's is "int8".
    compiled: has torch compile the image tower for batches of so many pictures, which takes a minute at first.
    Only a hub id touches the network. Raises CheckpointError, ConfigError, EngineError (MissingExtra) or OutputError.
    """
    checkpoint = open_checkpoint(where)
    return Model(
        checkpoint, choose(checkpoint, name=engine, precision=precision, device=device, compiled=compiled).engine
    )


class Model:
    """Image and text embeddings in one space, and what follows from them. Safe to use from several threads.

    `images` is one picture or an iterable of pictures, of any length; a picture is whatever
    `dualsight.image.open` reads (path, bytes, base64 or data URL, PIL image, numpy array), an item of
    `dualsight.image.scan`, or a series or study of `dualsight.image.group`.
    `on_error`: "raise" stops at the first bad picture, "skip" leaves it out, "return" puts its ImageError
    in its place. `reading`: how files are shown (window, plane of volumes, limits).
    `per`: what one result stands for: an "image" (a file), each "frame" of it, or the "series" or "study" that DICOM
    files belong to by their headers. `pool`: how the vectors of its frames become its one vector (mean, median or
    max, normalised). Of a series or study, files that cannot be used are told one by one, and the rest goes on.
    `batch_size`: pictures that are encoded at a time; "auto" is the quickest that fits into half of the free memory,
    measured once on this machine.
    """

    def __init__(self, checkpoint: Checkpoint, engine: Engine) -> None:
        self.checkpoint = checkpoint
        self.engine = engine
        self.config = checkpoint.config
        self._texts = TextEmbedder(engine, checkpoint.tokenizer, checkpoint.config.dual.text.context_length)

    @property
    def name(self) -> str:
        """How the checkpoint is called: its folder, hub id, or "demo"."""
        return self.checkpoint.name

    @property
    def fingerprint(self) -> str:
        """Hash of weights, configuration and preprocessing: equal embeddings only from equal fingerprints."""
        if self.engine.precision == "int8":
            return self.checkpoint.int8_fingerprint
        return self.checkpoint.fingerprint

    @property
    def notice(self) -> str:
        """What to say wherever an output of this model is shown; empty for a model without a notice."""
        return DEMO_NOTICE if self.checkpoint.is_demo else ""

    @property
    def logit_scale(self) -> float:
        """The scale as stored: a logarithm."""
        return self.checkpoint.model.logit_scale.item()

    def embed(
        self,
        images: Images,
        *,
        per: Per = "image",
        pool: Pool = "mean",
        reading: Reading = DEFAULT,
        batch_size: BatchSize = 8,
    ) -> Iterator[Embedded | Failed]:
        """A stream of embeddings with their metadata, in order; a bad picture is a `Failed` in its place.

        Series and studies come once the headers of all files have been read. Raises ConfigError for an unknown `per`,
        an unknown `pool`, or a `batch_size` under 1.
        """
        check_pooling(per, pool)
        if batch_size != "auto":
            check_batch_size(batch_size)
        sources, workers = as_stream(images), None
        if per == "series" or per == "study":
            sources = group(as_items(sources), per=per, limits=reading.limits)
            workers = SERIES_AT_A_TIME
        stream = embed_frames(
            sources,
            self.engine,
            self.config.preprocessing,
            batch_size=self._best_batch_size() if batch_size == "auto" else batch_size,
            reading=reading,
            workers=workers,
        )
        return stream if per == "frame" else pool_frames(stream, per=per, pool=pool)

    @overload
    def encode_image(
        self,
        images: Images,
        *,
        on_error: Literal["raise", "skip"] = "raise",
        per: Per = "image",
        pool: Pool = "mean",
        reading: Reading = DEFAULT,
        batch_size: BatchSize = 8,
    ) -> Vectors: ...

    @overload
    def encode_image(
        self,
        images: Images,
        *,
        on_error: Literal["return"],
        per: Per = "image",
        pool: Pool = "mean",
        reading: Reading = DEFAULT,
        batch_size: BatchSize = 8,
    ) -> list[Vectors | ImageError]: ...

    def encode_image(
        self,
        images: Images,
        *,
        on_error: OnError = "raise",
        per: Per = "image",
        pool: Pool = "mean",
        reading: Reading = DEFAULT,
        batch_size: BatchSize = 8,
    ) -> Vectors | list[Vectors | ImageError]:
        """float32 [n, D] of unit length, one row a picture; a list of [D] and ImageError with on_error="return".

        With `per` "series" or "study" that list may be longer than there are groups: each bad file is in it.
        Raises ImageError for a bad picture where `on_error` is "raise".
        """
        stream = self.embed(images, per=per, pool=pool, reading=reading, batch_size=batch_size)
        results = [item.error if isinstance(item, Failed) else item.vector for item in self._kept(stream, on_error)]
        if on_error == "return":
            return results
        vectors = [result for result in results if not isinstance(result, ImageError)]
        return np.stack(vectors) if vectors else np.empty((0, self.config.dual.projection), np.float32)

    def encode_text(self, texts: str | Sequence[str]) -> Vectors:
        """float32 [n, D] of unit length, one row a text. Texts seen before come from memory.

        Raises TextError for anything but strings.
        """
        rows = [texts] if isinstance(texts, str) else list(texts)
        return self._texts(rows) if rows else np.empty((0, self.config.dual.projection), np.float32)

    def recall_text(self, texts: Sequence[str]) -> Vectors | None:
        """What `encode_text` gives, where all of the texts come from memory; otherwise None, at once."""
        return self._texts.recall(texts) if texts else self.encode_text(texts)

    def classify(
        self,
        images: Images,
        labels: Sequence[str],
        *,
        multilabel: bool = False,
        templates: Sequence[str] = PLAIN,
        on_error: OnError = "raise",
        per: Per = "image",
        pool: Pool = "mean",
        reading: Reading = DEFAULT,
        batch_size: BatchSize = 8,
    ) -> list[Classification | ImageError]:
        """Zero-shot classification: for each picture the labels by falling probability.

        One of `labels` is true (softmax), or with `multilabel` each on its own (sigmoid). `templates` put a
        label into prompts ("x-ray chest anteroposterior {label}"); several are averaged.
        Raises TextError for unusable labels or templates, ImageError as `on_error` says.
        """
        stream = self.iter_classify(
            images,
            labels,
            multilabel=multilabel,
            templates=templates,
            per=per,
            pool=pool,
            reading=reading,
            batch_size=batch_size,
        )
        return [item.error if isinstance(item, Failed) else item for item in self._kept(stream, on_error)]

    def iter_classify(
        self,
        images: Images,
        labels: Sequence[str],
        *,
        multilabel: bool = False,
        templates: Sequence[str] = PLAIN,
        per: Per = "image",
        pool: Pool = "mean",
        reading: Reading = DEFAULT,
        batch_size: BatchSize = 8,
    ) -> Iterator[Classification | Failed]:
        """`classify` as a stream. Labels are checked and embedded before the first picture is opened."""
        vectors = label_embeddings(labels, templates, self.encode_text)

        def answer(item: Embedded | Failed) -> Classification | Failed:
            if isinstance(item, Failed):
                return item
            return classify(item, labels, vectors, self.logit_scale, multilabel=multilabel)

        return map(answer, self.embed(images, per=per, pool=pool, reading=reading, batch_size=batch_size))

    def similarity(
        self,
        images: Images | None = None,
        texts: str | Sequence[str] | None = None,
        *,
        reading: Reading = DEFAULT,
    ) -> Vectors:
        """Cosines, float32: images × texts [n, m]; with only one of the two, each with each other [n, n].

        Raises DualsightError where neither is given.
        """
        rows = None if images is None else self.encode_image(images, reading=reading)
        columns = None if texts is None else self.encode_text(texts)
        if rows is None:
            rows = columns
        if columns is None:
            columns = rows
        if rows is None or columns is None:
            raise DualsightError("similarity needs images, texts or both")
        return np.asarray(rows @ columns.T)

    def _best_batch_size(self) -> int:
        from dualsight.engine.batch_size import best_batch_size

        return best_batch_size(self.checkpoint, self.engine)

    @staticmethod
    def _kept(stream: Iterable[Any], on_error: OnError) -> Iterator[Any]:
        if on_error not in ("raise", "skip", "return"):
            raise DualsightError(f"on_error is {on_error!r}", hint="one of: raise, skip, return")
        for item in stream:
            if isinstance(item, Failed) and on_error == "raise":
                raise item.error
            if isinstance(item, Failed) and on_error == "skip":
                continue
            yield item


def as_items(images: Iterable[Source | Item | Series | Study]) -> Iterator[Source | Item | Series | Study]:
    """Paths of files and bytes as Items, so that a header can say where they belong; all else as it is."""
    for index, image in enumerate(images):
        if isinstance(image, str | os.PathLike) and os.path.isfile(image):  # noqa: PTH113 - False for what is no path
            yield Item(name=str(image), content=Path(image))
        elif isinstance(image, bytes):
            yield Item(name=f"image {index}", content=partial(bytes, image))
        else:
            yield image
