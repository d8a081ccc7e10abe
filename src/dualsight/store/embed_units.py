"""Units → their vectors, in order: each is hashed, those whose content is known are passed over, the rest is embedded.

units ──hash──▶ new units ──embed──▶ results ──┐
          └───▶ a record of each ──────────────┴──▶ Known | Unreached | Embeddings
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, TypeAlias

from dualsight.errors import ImageError, UnreadableImage
from dualsight.store.content import Unit, hash_unit
from dualsight.store.settings import Settings
from dualsight.task.embed import Embedded, Failed, embed_frames
from dualsight.task.model import SERIES_AT_A_TIME, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A unit whose content is known: nothing was computed."""

    unit: Unit
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreached:
    """A unit that could not even be read to its end."""

    unit: Unit
    error: ImageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A unit on its way to its vectors. index: its position among those that are."""

    index: int
    unit: Unit
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embeddings:
    """All that was made of a unit, in order: vectors, and what failed in it."""

    unit: Unit
    content_hash: str
    results: tuple[Embedded | Failed, ...]


Records: TypeAlias = "deque[Known | Unreached | Taken]"
Outcome: TypeAlias = Known | Unreached | Embeddings


class EmbedUnits(Protocol):
    """Who embeds: this process, or others."""

    def __call__(self, units: Iterable[Unit], known: set[str]) -> Generator[Outcome, None, None]:
        """What became of each unit, in order. known: hashes of content; what is embedded is added to them."""
        ...


class KnownContent(Protocol):
    """As much of a set of hashes as is needed to pass over what is known."""

    def __contains__(self, content_hash: object, /) -> bool:
        """Whether this content is known."""
        ...

    def add(self, content_hash: str, /) -> None:
        """From now on it is."""
        ...


def embed_here(model: Model, settings: Settings, key: bytes | None) -> EmbedUnits:
    """Embeds in this process: pictures are opened ahead of the encoder, by its threads or processes of their own."""

    def embed(units: Iterable[Unit], known: set[str]) -> Generator[Outcome, None, None]:
        records: Records = deque()
        stream = embed_frames(
            new_units(units, known, key, records),
            model.engine,
            model.config.preprocessing,
            batch_size=settings.batch_size,
            reading=settings.reading,
            workers=SERIES_AT_A_TIME if settings.grouped_by else None,
        )
        yield from outcomes(records, stream)

    return embed


def new_units(units: Iterable[Unit], known: KnownContent, key: bytes | None, records: Records) -> Iterator[Unit]:
    """The units whose content is not known, ready to be embedded; `records` gets one of every unit that was looked at.

    It may be advanced by another thread than that which takes the records away.
    """
    index = 0
    for unit in units:
        try:
            hashed = hash_unit(unit, key)
        except ImageError as error:
            records.append(Unreached(unit=unit, error=error))
        except OSError as error:
            unreadable = UnreadableImage(f"cannot be read ({error.strerror})", source=unit.name)
            records.append(Unreached(unit=unit, error=unreadable))
        else:
            if hashed.content_hash in known:
                records.append(Known(unit=unit, content_hash=hashed.content_hash))
                continue
            known.add(hashed.content_hash)
            records.append(Taken(index=index, unit=unit, content_hash=hashed.content_hash))
            index += 1
            yield hashed.unit


def outcomes(records: Records, results: Iterable[Embedded | Failed]) -> Iterator[Outcome]:
    """The records, taken away one by one, each new unit's with its results once all of these are there."""
    for index, found in groupby(results, key=lambda result: result.index):
        of_unit = tuple(found)
        while not (isinstance(records[0], Taken) and records[0].index == index):
            yield _filled(records.popleft(), ())
        yield _filled(records.popleft(), of_unit)
    while records:
        yield _filled(records.popleft(), ())


def _filled(record: Known | Unreached | Taken, results: tuple[Embedded | Failed, ...]) -> Outcome:
    if isinstance(record, Taken):
        return Embeddings(unit=record.unit, content_hash=record.content_hash, results=results)
    return record
