"""What the workers do: an opener hashes units and resizes their pictures, an encoder makes vectors of these.

Plain classes that know no Ray: each object of them lives in a process of its own, on any machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dualsight import __version__
from dualsight.engine.select import Precision
from dualsight.errors import EngineError
from dualsight.image.prepare import Preprocessing
from dualsight.image.reading import Reading
from dualsight.store.content import Unit
from dualsight.store.embed_units import Records, new_units
from dualsight.task.embed import Embedded, Failed, embed_prepared
from dualsight.task.model import Model, load
from dualsight.task.prepared import Prepared, Preparer

PICTURES = 16
"""Of one message: 11 MB in colour and 4 MB in grey, at the official size."""
Hashes = NDArray[np.bytes_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How units are opened, and how many of their pictures are encoded at a time."""

    preprocessing: Preprocessing
    reading: Reading
    key: bytes | None
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Progress:
    """What an opener says beside its pictures: which units it has looked at since, and whether that was the last."""

    records: Records
    n_pictures: int  # and failures among them
    is_last: bool


def load_on(where: str | Path, precision: str, device: str) -> Model:
    """The model, computing in this precision on a device. Raises as `load` does."""
    return load(where, precision=cast("Precision", precision), device=device)


def sorted_hashes(hashes: set[str]) -> Hashes:
    """The first 16 bytes of each hash (SHA-256 in hexadecimal digits), sorted: that is what a cluster can share."""
    return np.sort(np.array([bytes.fromhex(one)[:16] for one in hashes], "S16"))


class Opener:
    """Opens the units of one task after another."""

    def __init__(self, job: Job, known: Hashes) -> None:
        """known: content that the table has."""
        self._job = job
        self._known = known
        self._preparer = Preparer(job.preprocessing, job.reading)  # a codec that crashes or hangs, ends alone
        self._records: Records = deque()
        self._pictures: Generator[Prepared | Failed, None, None] | None = None

    def start(self, version: str) -> bool:
        """Raises EngineError if dualsight is another one here."""
        if version != __version__:
            raise EngineError(f"a machine of the cluster has dualsight {__version__}, and this one {version}")
        return True

    def close(self) -> None:
        """Ends its process."""
        self._preparer.close()

    def open(self, units: Sequence[Unit]) -> tuple[Progress, list[Prepared | Failed]]:
        """The first pictures of a new task; what is left of the last one is dropped."""
        if self._pictures is not None:
            self._pictures.close()
        self._records = deque()
        units_to_open = new_units(units, _KnownBefore(self._known), self._job.key, self._records)
        self._pictures = self._preparer.prepare_ahead(units_to_open, depth=PICTURES)
        return self.more()

    def more(self) -> tuple[Progress, list[Prepared | Failed]]:
        """The task's next pictures, and how far it has come."""
        assert self._pictures is not None  # noqa: S101 - a task is opened before there is more of it
        pictures = [_packed(picture) for picture in islice(self._pictures, PICTURES)]
        records: Records = deque()
        while self._records:
            records.append(self._records.popleft())
        return Progress(records=records, n_pictures=len(pictures), is_last=len(pictures) < PICTURES), pictures


class Encoder:
    """A model that embeds what openers have opened."""

    def __init__(self, load: Callable[[], Model], batch_size: int) -> None:
        self._load = load
        self._batch_size = batch_size
        self._model: Model | None = None

    def start(self, fingerprint: str) -> bool:
        """Loads the model. Raises EngineError if it is another one here than where the work is given out."""
        self._model = self._load()
        if self._model.fingerprint != fingerprint:
            problem = f"a machine of the cluster has another model by the name of {self._model.name}"
            raise EngineError(problem, hint="its folder must hold the same checkpoint on all machines")
        return True

    def encode(self, pictures: list[Prepared | Failed]) -> list[Embedded | Failed]:
        """Their embeddings, in order."""
        assert self._model is not None  # noqa: S101 - the driver waits until it has started
        stream = map(_unpacked, pictures)
        preprocessing = self._model.config.preprocessing
        return list(embed_prepared(stream, self._model.engine, preprocessing, batch_size=self._batch_size))


class _KnownBefore:
    """The content that the table had when the run began, and what this task has taken on."""

    def __init__(self, known: Hashes) -> None:
        self._known = known
        self._taken: set[str] = set()

    def __contains__(self, content_hash: object) -> bool:
        if content_hash in self._taken:
            return True
        digest = bytes.fromhex(str(content_hash))[:16]
        place = int(np.searchsorted(self._known, digest))
        return place < len(self._known) and self._known[place] == digest.rstrip(b"\0")  # numpy leaves zeros out

    def add(self, content_hash: str) -> None:
        self._taken.add(content_hash)


def _packed(picture: Prepared | Failed) -> Prepared | Failed:
    """A grey picture with one channel, where one stands for three."""
    if isinstance(picture, Failed) or picture.resized.strides[2] != 0:
        return picture
    return replace(picture, resized=np.ascontiguousarray(picture.resized[:, :, :1]))


def _unpacked(picture: Prepared | Failed) -> Prepared | Failed:
    if isinstance(picture, Failed):
        return picture
    return replace(picture, resized=np.broadcast_to(picture.resized, (*picture.resized.shape[:2], 3)))
