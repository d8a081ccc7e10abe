"""`dualsight.Client`: a model that runs in a server somewhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar, overload

from dualsight.errors import ImageError
from dualsight.image.open import Source
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.interface.client.answers import Explained, ModelInfo, Vectors
from dualsight.interface.client.calls import READING, Calls, OnError, Per, keep
from dualsight.interface.client.connection import (
    PATIENCE_S,
    TIMEOUT_S,
    arguments,
    check_address,
    reply_of,
    settings,
    translated,
)
from dualsight.interface.client.exchange import Done, Exchange, Reply, Request, advance
from dualsight.interface.client.key import find_key
from dualsight.interface.client.upload import Images, batches
from dualsight.store.hits import Hits
from dualsight.task.classify import Classification
from dualsight.task.embed import Embedded
from dualsight.task.prepared import Failed

if TYPE_CHECKING:
    from dualsight.store.query import Query  # with torch, which a client does without

T = TypeVar("T")


class Client:
    """`Model`'s methods, answered by a `dualsight serve`. Safe to use from several threads; a context manager.

    A picture is a path, bytes, a file object, a Pillow image, an array, or an item of `dualsight.image.scan`. Files
    are sent as they are and opened by the server; their names stay here. Of any number of pictures `batch_size`, and
    32 MiB, are in memory and in a request at a time.

    base_url: "http://127.0.0.1:8000". key: by default that of DUALSIGHT_KEY, or of the keyring (service "dualsight",
    user name HOST:PORT). timeout_s: of silence. patience_s: how long one request waits, in all, for a server that is
    busy (429, 503, as its Retry-After says). insecure: send the key over plain http to another machine.

    Raises ConfigError for an address or key that cannot be meant, MissingExtra without httpx2 (the extra `client`).
    Methods raise as `Model`'s do, and ServiceError where the server cannot be reached, or refuses.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        insecure: bool = False,
    ) -> None:
        self.service = check_address(base_url)
        self.timeout_s = timeout_s
        key = find_key(self.service, key, insecure=insecure)
        options = settings(self.service, key, timeout_s)
        import httpx2

        self._http = httpx2.Client(**options)
        self._calls = Calls(self.service, patience_s=patience_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def model(self) -> ModelInfo:
        """What the server says of its model."""
        return self._run(self._calls.model())

    def embed(
        self, images: Images, *, per: Per = "image", reading: Reading = READING, batch_size: int = 8
    ) -> Iterator[Embedded | Failed]:
        """`Model.embed`: a stream of embeddings in order; a bad picture is a `Failed` in its place. `meta` is empty."""
        for batch in batches(images, batch_size):
            yield from self._run(self._calls.embed(batch, per=per, reading=reading))

    @overload
    def encode_image(
        self,
        images: Images,
        *,
        on_error: Literal["raise", "skip"] = "raise",
        per: Per = "image",
        reading: Reading = READING,
        batch_size: int = 8,
    ) -> Vectors: ...

    @overload
    def encode_image(
        self,
        images: Images,
        *,
        on_error: Literal["return"],
        per: Per = "image",
        reading: Reading = READING,
        batch_size: int = 8,
    ) -> list[Vectors | ImageError]: ...

    def encode_image(
        self,
        images: Images,
        *,
        on_error: OnError = "raise",
        per: Per = "image",
        reading: Reading = READING,
        batch_size: int = 8,
    ) -> Vectors | list[Vectors | ImageError]:
        """`Model.encode_image`: float32 [n, D], or a list with on_error="return"."""
        return self._run(
            self._calls.encode_image(images, on_error=on_error, per=per, reading=reading, batch_size=batch_size)
        )

    def encode_text(self, texts: str | Sequence[str]) -> Vectors:
        """`Model.encode_text`: float32 [n, D]."""
        return self._run(self._calls.encode_text(texts))

    def classify(
        self,
        images: Images,
        labels: Sequence[str],
        *,
        multilabel: bool = False,
        templates: Sequence[str] = ("{label}",),
        on_error: OnError = "raise",
        reading: Reading = READING,
        batch_size: int = 8,
    ) -> list[Classification | ImageError]:
        """`Model.classify`: for each picture the labels by falling probability."""
        stream = self.iter_classify(
            images, labels, multilabel=multilabel, templates=templates, reading=reading, batch_size=batch_size
        )
        kept = [item for result in stream for item in keep([result], on_error)]
        return [item.error if isinstance(item, Failed) else item for item in kept]

    def iter_classify(
        self,
        images: Images,
        labels: Sequence[str],
        *,
        multilabel: bool = False,
        templates: Sequence[str] = ("{label}",),
        reading: Reading = READING,
        batch_size: int = 8,
    ) -> Iterator[Classification | Failed]:
        """`classify` as a stream."""
        for batch in batches(images, batch_size):
            yield from self._run(
                self._calls.classify(batch, labels, multilabel=multilabel, templates=templates, reading=reading)
            )

    def similarity(
        self,
        images: Images | None = None,
        texts: str | Sequence[str] | None = None,
        *,
        reading: Reading = READING,
        batch_size: int = 8,
    ) -> Vectors:
        """`Model.similarity`: cosines, float32, images × texts [n, m], or each with each other [n, n]."""
        return self._run(self._calls.similarity(images, texts, reading=reading, batch_size=batch_size))

    def search(
        self,
        text: str | None = None,
        *,
        query: Query | None = None,
        where: str = "",
        k: int = 10,
        per: str | None = None,
        exact: bool = False,
    ) -> Hits:
        """`Index.search` of the index that the server was started with."""
        return self._run(self._calls.search(text, query, where=where, k=k, per=per, exact=exact))

    def explain(
        self,
        image: Source | Item,
        labels: Sequence[str],
        *,
        against: str | None = None,
        templates: Sequence[str] = ("{label}",),
        method: str = "multi-scale",
        frame_index: int | None = None,
        reading: Reading = READING,
    ) -> Explained:
        """A heat map for each label, against `against` or else against the other labels: see docs/explain.md.

        frame_index: from 0; the middle frame without it.
        """
        return self._run(
            self._calls.explain(
                image,
                labels,
                against=against,
                templates=templates,
                method=method,
                frame_index=frame_index,
                reading=reading,
            )
        )

    def _run(self, exchange: Exchange[T]) -> T:
        reply: Reply | None = None
        while True:
            match advance(exchange, reply):
                case Request() as request:
                    time.sleep(request.wait_s)
                    reply = self._send(request)
                case Done(value=value):
                    return value

    def _send(self, request: Request) -> Reply:
        with translated(self.service, self.timeout_s):
            return reply_of(self._http.request(**arguments(request)))
