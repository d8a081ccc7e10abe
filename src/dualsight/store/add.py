"""Pictures and texts → rows of an index, in commits that are whole or not there.

    sources ──scan──▶ files ──group──▶ units ──hash──▶ those that the table lacks ──embed──▶ rows ──commit──▶ table

A unit is a file, or the files of a series or study. All rows of a unit are in one commit, so that whatever moment a
run is killed at, each unit is in the table wholly or not at all, and the next run goes on with those that are not.
At most a commit's rows are lost: COMMIT_ROWS, or what COMMIT_S seconds made.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from dualsight.errors import ImageError, UnreadableImage
from dualsight.image.archive import Member
from dualsight.image.deidentify import deidentified, deidentified_error, hashed_name
from dualsight.image.grouping import group
from dualsight.image.source import Item, Skipped
from dualsight.store.content import Unit, first_item, hash_text, hash_unit
from dualsight.store.manifest import Manifest
from dualsight.store.rows import Row, image_row, text_row
from dualsight.store.settings import TEXT_SETTINGS, Settings
from dualsight.store.writer import Writer
from dualsight.task.embed import Embedded, Failed, embed_frames
from dualsight.task.model import SERIES_AT_A_TIME, Model
from dualsight.task.pool import pool_frames

COMMIT_ROWS = 512
COMMIT_S = 10.0
TEXTS_AT_A_TIME = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A unit that is now in the table, for good."""

    source: str
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A unit that the table had already, by its content and settings."""

    source: str


Event: TypeAlias = Added | Present | Skipped | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnItsWay:
    """A unit between the disk and its rows. item: the file that it is named after."""

    name: str
    item: Item
    content_hash: str


_Rows: TypeAlias = tuple[str, list[Row]]  # the name of a unit, and all that it makes


@dataclass(slots=True, kw_only=True)
class Run:
    """The state of one run: units on their way through the encoder, and what was met on the way to it.

    seen: hashes of all content that was found, embedded now or before. is_complete: nothing was out of reach.
    """

    model: Model
    settings: Settings
    manifest: Manifest
    key: bytes | None
    known: set[str]  # content that the table has, or that is on its way
    seen: set[str] = field(default_factory=set)
    is_complete: bool = True
    _on_its_way: dict[int, _OnItsWay] = field(default_factory=dict, init=False)
    _met: deque[Present | Skipped | Failed] = field(default_factory=deque, init=False)

    def events(self, found: Iterable[Item | Skipped]) -> Generator[_Rows | Present | Skipped | Failed, None, None]:
        """Each new unit's name and rows, in order; and beside them what is skipped, has failed or is there."""
        settings, model = self.settings, self.model
        per = "series" if settings.per == "volume" else settings.per
        units: Iterable[Unit] = self._items(found)
        if per == "series" or per == "study":
            units = group(units, per=per, limits=settings.reading.limits)
        stream = embed_frames(
            self._new(units),
            model.engine,
            model.config.preprocessing,
            batch_size=settings.batch_size,
            reading=settings.reading,
            workers=SERIES_AT_A_TIME if per in ("series", "study") else None,
        )
        for index, results in groupby(stream, key=lambda result: result.index):
            yield from self._drained()
            yield from self._unit(self._on_its_way.pop(index), list(results))
        yield from self._drained()

    def _items(self, found: Iterable[Item | Skipped]) -> Iterator[Item]:
        for thing in found:
            if isinstance(thing, Item):
                yield thing
            else:
                self.is_complete &= not thing.reason.startswith("cannot be")
                self._met.append(replace(thing, name=self._name(thing.name)))

    def _new(self, units: Iterable[Unit]) -> Iterator[Unit]:
        """The units that are not in the table; called ahead of the encoder, by one of its threads at a time."""
        index = 0
        for unit in units:
            try:
                hashed = hash_unit(unit, self.key)
            except (OSError, ImageError) as error:
                self._met.append(self._unreached(unit, error))
                continue
            self.seen.add(hashed.content_hash)
            if hashed.content_hash in self.known:
                self._met.append(Present(source=self._name(unit.name)))
                continue
            self.known.add(hashed.content_hash)
            self._on_its_way[index] = _OnItsWay(name=unit.name, item=first_item(unit), content_hash=hashed.content_hash)
            index += 1
            yield hashed.unit

    def _unit(self, unit: _OnItsWay, results: list[Embedded | Failed]) -> Iterator[_Rows | Failed]:
        per = self.settings.per
        if per == "frame":
            kept = results
        else:
            kept = list(pool_frames(results, per="series" if per == "volume" else per, pool=self.settings.pool))
        failed = [result for result in kept if isinstance(result, Failed)]
        done = [result for result in kept if isinstance(result, Embedded)]
        for failure in failed:
            yield self._hidden(failure)
        if not done or (per == "frame" and failed):  # a file that fails half-way has failed
            self.known.discard(unit.content_hash)
            return
        if per == "volume" and done[0].n_frames > 1:
            done = [result for result in results if isinstance(result, Embedded)] + done
        rows = [
            image_row(
                result if self.key is None else _deidentified(result, self.key),
                content_hash=unit.content_hash,
                settings=self.settings.as_json(),
                path=None if self.key is not None else _path(unit.item),
                user=self.manifest.of(unit.item.name),
            )
            for result in done
        ]
        yield self._name(unit.name), rows

    def _unreached(self, unit: Unit, error: OSError | ImageError) -> Failed:
        self.is_complete = False
        if isinstance(error, OSError):
            error = UnreadableImage(f"cannot be read ({error.strerror})", source=unit.name)
        return self._hidden(Failed(index=-1, source=unit.name, error=error))

    def _hidden(self, failure: Failed) -> Failed:
        if self.key is None:
            return failure
        return replace(failure, source=self._name(failure.source), error=deidentified_error(failure.error, self.key))

    def _name(self, name: str) -> str:
        return name if self.key is None else hashed_name(name, self.key)

    def _drained(self) -> Iterator[Present | Skipped | Failed]:
        while self._met:
            yield self._met.popleft()


def add_images(run: Run, found: Iterable[Item | Skipped], writer: Writer) -> Iterator[Event]:
    """Embeds what the table lacks and commits it, bit by bit; an `Added` comes once its rows are in the table."""
    waiting: list[Added] = []
    rows: list[Row] = []
    last = time.monotonic()
    with closing(run.events(found)) as events:
        for event in events:
            if not isinstance(event, tuple):
                yield event
                continue
            waiting.append(Added(source=event[0], n_rows=len(event[1])))
            rows += event[1]
            if len(rows) >= COMMIT_ROWS or time.monotonic() - last >= COMMIT_S:
                writer.commit(rows)
                yield from waiting
                waiting, rows, last = [], [], time.monotonic()
    writer.commit(rows)
    yield from waiting


def add_texts(model: Model, texts: Iterable[str], known: set[str], writer: Writer) -> Iterator[Event]:
    """Embeds the texts that the table lacks and commits them."""
    new: list[tuple[str, str]] = []
    for text in texts:
        content_hash = hash_text(text)
        if content_hash in known:
            yield Present(source=text)
        else:
            known.add(content_hash)
            new.append((text, content_hash))
    for start in range(0, len(new), TEXTS_AT_A_TIME):
        part = new[start : start + TEXTS_AT_A_TIME]
        vectors = model.encode_text([text for text, _ in part])
        writer.commit(
            [
                text_row(text, vector, content_hash=content_hash, settings=TEXT_SETTINGS)
                for (text, content_hash), vector in zip(part, vectors, strict=True)
            ]
        )
        yield from (Added(source=text, n_rows=1) for text, _ in part)


def _path(item: Item) -> str | None:
    """Where the file is, or the archive that it is in; None for what came over a network."""
    match item.content:
        case Path():
            return str(item.content.absolute())
        case Member():
            return str(item.content.archive.absolute())
        case _:
            return None


def _deidentified(result: Embedded, key: bytes) -> Embedded:
    return replace(result, source=hashed_name(result.source, key), meta=deidentified(result.meta, key))
