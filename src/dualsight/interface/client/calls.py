"""What can be asked of a server, each as an exchange: Model's methods, one batch at a time, order kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np

from dualsight.errors import ConfigError, DualsightError, ImageError, ServiceError, TextError
from dualsight.image.open import Source
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.interface.client import answers
from dualsight.interface.client.answers import Explained, ModelInfo, Vectors
from dualsight.interface.client.exchange import Exchange, Request, ask
from dualsight.interface.client.upload import Batch, Images, Upload, batches
from dualsight.store.hits import Hits
from dualsight.task.classify import Classification
from dualsight.task.embed import Embedded
from dualsight.task.prepared import Failed
from dualsight.text.prompts import fill

if TYPE_CHECKING:
    from dualsight.store.query import Query  # with torch, which a client does without

Per: TypeAlias = Literal["image", "frame"]
OnError: TypeAlias = Literal["raise", "skip", "return"]
R = TypeVar("R", Embedded, Classification)

READING = Reading()
TEXTS_A_REQUEST = 256
TOO_MUCH_ASKED = "request_too_large"
"""A server's word for too many labels or texts, of which no picture is to blame."""


class Calls:
    """The questions to one server, and to one model: vectors of two models would not be comparable."""

    def __init__(self, service: str, *, patience_s: float) -> None:
        self.service = service
        self.patience_s = patience_s
        self._fingerprint: str | None = None

    def model(self) -> Exchange[ModelInfo]:
        """What the server says of its model."""
        document = yield from self._ask(Request(method="GET", path="/v1/model"))
        with answers.understood(self.service):
            return answers.model_info(document)

    def embed(self, batch: Batch, *, per: Per, reading: Reading) -> Exchange[list[Embedded | Failed]]:
        """Each picture's embedding, or each frame's."""
        if per not in ("image", "frame"):
            raise ConfigError(f"per is {per!r}", hint="a server takes files: image or frame")
        fields: dict[str, Sequence[str]] = {"per": [per], **_window(reading)}
        return (yield from self._pictures(batch, "/v1/embed", fields, "images", answers.embedded))

    def classify(
        self, batch: Batch, labels: Sequence[str], *, multilabel: bool, templates: Sequence[str], reading: Reading
    ) -> Exchange[list[Classification | Failed]]:
        """Each picture's probabilities. Raises TextError as `fill` does, before anything is sent."""
        fill(templates, labels)
        fields: dict[str, Sequence[str]] = {
            "labels": labels,
            "templates": templates,
            "multilabel": ["true" if multilabel else "false"],
            **_window(reading),
        }

        def parse(row: Mapping[str, Any], upload: Upload) -> Classification | Failed:
            return answers.classification(row, upload, multilabel=multilabel)

        return (yield from self._pictures(batch, "/v1/classify", fields, "results", parse))

    def encode_image(
        self, images: Images, *, on_error: OnError, per: Per, reading: Reading, batch_size: int
    ) -> Exchange[Vectors | list[Vectors | ImageError]]:
        """`Model.encode_image`: all pictures, a batch at a time."""
        kept: list[Embedded | Failed] = []
        for batch in batches(images, batch_size):
            kept += keep((yield from self.embed(batch, per=per, reading=reading)), on_error)
        if on_error == "return":
            return [item.error if isinstance(item, Failed) else item.vector for item in kept]
        return (yield from self._stacked([item.vector for item in kept if isinstance(item, Embedded)]))

    def encode_text(self, texts: str | Sequence[str]) -> Exchange[Vectors]:
        """`Model.encode_text`: all texts, some hundreds at a time."""
        rows: list[object] = [texts] if isinstance(texts, str) else list(texts)
        for index, text in enumerate(rows):
            if not isinstance(text, str):
                raise TextError(f"text {index} is {type(text).__name__}, not a string")
        vectors: list[Vectors] = []
        for start in range(0, len(rows), TEXTS_A_REQUEST):
            part = rows[start : start + TEXTS_A_REQUEST]
            document = yield from self._ask(Request(path="/v1/embed", document={"texts": part}))
            with answers.understood(self.service):
                by_index = {row["index"]: answers.vector(row) for row in document["texts"]}
                vectors += [by_index[index] for index in range(len(part))]
        return (yield from self._stacked(vectors))

    def similarity(
        self, images: Images | None, texts: str | Sequence[str] | None, *, reading: Reading, batch_size: int
    ) -> Exchange[Vectors]:
        """`Model.similarity`: from embeddings, so that any number of pictures is one matrix."""
        rows = columns = None
        if images is not None:
            encoded = self.encode_image(images, on_error="raise", per="image", reading=reading, batch_size=batch_size)
            rows = np.asarray((yield from encoded))
        if texts is not None:
            columns = yield from self.encode_text(texts)
        rows = columns if rows is None else rows
        columns = rows if columns is None else columns
        if rows is None or columns is None:
            raise DualsightError("similarity needs images, texts or both")
        return np.asarray(rows @ columns.T)

    def search(
        self, text: str | None, query: Query | None, *, where: str, k: int, per: str | None, exact: bool
    ) -> Exchange[Hits]:
        """`Index.search` of the server's index. Raises the ImageError of a picture that cannot be read here."""
        if (text is None) == (query is None):
            raise ConfigError("search takes a text or a Query", hint='client.search("chest x-ray")')
        wanted: dict[str, object] = {"texts": [text]} if query is None else _looked_for(query)
        files = [] if query is None else _contents(query.images)
        wanted |= {"where": where, "k": k, "exact": exact, **({} if per is None else {"per": per})}
        document = yield from self._ask(
            Request(path="/v1/search", fields=_form(wanted), files=files)
            if files
            else Request(path="/v1/search", document=wanted)
        )
        with answers.understood(self.service):
            return answers.hits(document)

    def explain(
        self,
        image: Source | Item,
        labels: Sequence[str],
        *,
        against: str | None,
        templates: Sequence[str],
        method: str,
        frame_index: int | None,
        reading: Reading,
    ) -> Exchange[Explained]:
        """The maps of one picture. Raises its ImageError where it cannot be used, here or there."""
        ((upload,),) = batches([image], 1)
        if isinstance(upload, Failed):
            raise upload.error
        wanted: dict[str, object] = {"labels": labels, "templates": templates, "method": method, **_window(reading)}
        wanted |= {} if against is None else {"against": against}
        wanted |= {} if frame_index is None else {"frame_index": frame_index}
        try:
            document = yield from self._ask(Request(path="/v1/explain", fields=_form(wanted), files=[upload.content]))
        except ServiceError as error:
            if error.code not in answers.IMAGE_ERRORS:
                raise
            raise answers.failed(_row_of(error), upload).error from None
        with answers.understood(self.service):
            return answers.explained(document, upload)

    def _stacked(self, vectors: list[Vectors]) -> Exchange[Vectors]:
        if vectors:
            return np.stack(vectors)
        size = (yield from self.model()).embedding_size
        return np.empty((0, size), np.float32)

    def _pictures(
        self,
        batch: Batch,
        path: str,
        fields: Mapping[str, Sequence[str]],
        key: str,
        parse: Callable[[Mapping[str, Any], Upload], R | Failed],
    ) -> Exchange[list[R | Failed]]:
        """The results of a batch, in its order; what could not be read here is in its place already."""
        uploads = [item for item in batch if isinstance(item, Upload)]
        rows = yield from self._rows(uploads, path, fields, key)
        results: dict[int, list[R | Failed]] = {}
        with answers.understood(self.service):
            for upload, row in rows:
                results.setdefault(upload.index, []).append(parse(row, upload))
            ordered = [[item] if isinstance(item, Failed) else results[item.index] for item in batch]
        return [result for part in ordered for result in part]

    def _rows(
        self, uploads: Sequence[Upload], path: str, fields: Mapping[str, Sequence[str]], key: str
    ) -> Exchange[list[tuple[Upload, Mapping[str, Any]]]]:
        """The server's rows. Pictures that it refuses as a whole, too many or none to read, are asked again in halves:
        a single picture that is refused is a row with an error.
        """
        if not uploads:
            return []
        try:
            request = Request(path=path, fields=fields, files=[upload.content for upload in uploads])
            document = yield from self._ask(request)
        except ServiceError as error:
            if error.status not in (413, 422) or error.code == TOO_MUCH_ASKED:
                raise
            if len(uploads) == 1:
                return [(uploads[0], _row_of(error))]
            half = len(uploads) // 2
            first = yield from self._rows(uploads[:half], path, fields, key)
            return first + (yield from self._rows(uploads[half:], path, fields, key))
        with answers.understood(self.service):
            by_position = dict(enumerate(uploads))
            return [(by_position[row["index"]], row) for row in document[key]]

    def _ask(self, request: Request) -> Exchange[dict[str, Any]]:
        document = yield from ask(request, service=self.service, patience_s=self.patience_s)
        with answers.understood(self.service):
            fingerprint = str(document["fingerprint"])
        if self._fingerprint not in (None, fingerprint):
            raise ServiceError(
                f"the server has another model than before ({fingerprint}, not {self._fingerprint})",
                service=self.service,
                hint="their vectors are not comparable: begin again with a new client",
            )
        self._fingerprint = fingerprint
        return document


def keep(results: Sequence[R | Failed], on_error: OnError) -> list[R | Failed]:
    """The results as `on_error` says. Raises the ImageError of the first failure where it is "raise"."""
    if on_error not in ("raise", "skip", "return"):
        raise DualsightError(f"on_error is {on_error!r}", hint="one of: raise, skip, return")
    for item in results:
        if isinstance(item, Failed) and on_error == "raise":
            raise item.error
    return [item for item in results if on_error == "return" or not isinstance(item, Failed)]


def _window(reading: Reading) -> dict[str, list[str]]:
    """Of how files are shown, a server is told the window. Raises ConfigError for any other choice."""
    if replace(reading, window="auto") != READING:
        raise ConfigError("a server is told the window of a reading, and nothing else", hint="Reading(window=…)")
    if isinstance(reading.window, str):
        return {} if reading.window == "auto" else {"window": [reading.window]}
    centre, width = reading.window
    return {"window": [f"{centre!r},{width!r}"]}


def _looked_for(query: Query) -> dict[str, object]:
    """All of a query but its pictures. Raises ConfigError for what a server does not take."""
    if query.volumes or query.vector is not None:
        raise ConfigError("a server looks for texts and pictures", hint="a file of several slices is a picture")
    return {
        "texts": list(query.texts),
        "unlike": list(query.unlike),
        "text_weight": query.text_weight,
        "image_weight": query.image_weight,
        "unlike_weight": query.unlike_weight,
        **{name: value for name, (value,) in _window(query.reading).items()},
    }


def _row_of(error: ServiceError) -> dict[str, Any]:
    """A single picture's refusal as a server tells it among others."""
    return {"index": 0, "error": {"code": error.code, "message": error.problem, "details": {"hint": error.hint}}}


def _contents(images: Iterable[Any]) -> list[bytes]:
    """Raises the ImageError of the first that cannot be read."""
    contents: list[bytes] = []
    for each in images:
        for batch in batches(each, 1):
            for upload in batch:
                if isinstance(upload, Failed):
                    raise upload.error
                contents.append(upload.content)
    return contents


def _form(document: Mapping[str, object]) -> dict[str, Sequence[str]]:
    """A document's fields as a form has them: words, repeated where there are several."""
    fields: dict[str, Sequence[str]] = {}
    for name, value in document.items():
        values = value if isinstance(value, list | tuple) else [value]
        fields[name] = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
    return fields
