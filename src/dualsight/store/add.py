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
from typing import TypeAlias

from dualsight.image.deidentify import deidentified, deidentified_error, hashed_name
from dualsight.image.grouping import group
from dualsight.image.source import Item, Skipped
from dualsight.store.content import Unit, first_item, hash_text, place_of
from dualsight.store.embed_units import Embeddings, EmbedUnits, Known, Unreached
from dualsight.store.manifest import Manifest
from dualsight.store.rows import Row, image_row, text_row
from dualsight.store.settings import TEXT_SETTINGS, Settings
from dualsight.store.writer import Writer
from dualsight.task.embed import Embedded, Failed
from dualsight.task.model import Model
from dualsight.task.pool import pool_frames

UNREACHED = ("cannot be", "a damaged archive")
"""How the reasons begin why something was passed over that may hold what the table has: see `scan`."""
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


_Rows: TypeAlias = tuple[str, list[Row]]  # the name of a unit, and all that it makes


@dataclass(slots=True, kw_only=True)
class Run:
    """The state of one run.

    embed: who makes vectors of units. known: content that the table has, or that is on its way. seen: hashes of all
    content that was found, embedded now or before. is_complete: nothing was out of reach.
    """

    embed: EmbedUnits
    settings: Settings
    manifest: Manifest
    key: bytes | None
    known: set[str]
    seen: set[str] = field(default_factory=set)
    is_complete: bool = True
    _skipped: deque[Skipped] = field(default_factory=deque, init=False)
    _failures: dict[str, Failed] = field(default_factory=dict, init=False)  # of this run, by content

    def events(self, found: Iterable[Item | Skipped]) -> Generator[_Rows | Present | Skipped | Failed, None, None]:
        """Each new unit's name and rows, in order; and beside them what is skipped, has failed or is there."""
        units: Iterable[Unit] = self._items(found)
        if self.settings.grouped_by:
            units = group(units, per=self.settings.grouped_by, limits=self.settings.reading.limits)
        with closing(self.embed(units, self.known)) as outcomes:
            for outcome in outcomes:
                yield from self._drained()
                match outcome:
                    case Unreached():
                        self.is_complete = False
                        yield self._hidden(Failed(index=-1, source=outcome.unit.name, error=outcome.error))
                    case Known():
                        self.seen.add(outcome.content_hash)
                        yield self._seen_again(outcome)
                    case Embeddings():
                        self.seen.add(outcome.content_hash)
                        yield from self._rows(outcome)
        yield from self._drained()

    def _items(self, found: Iterable[Item | Skipped]) -> Iterator[Item]:
        """Those of them that may be pictures; called ahead of the encoder, by one thread at a time."""
        for thing in found:
            if isinstance(thing, Item):
                yield thing
            else:
                self.is_complete &= not thing.reason.startswith(UNREACHED)
                self._skipped.append(replace(thing, name=self._name(thing.name)))

    def _rows(self, unit: Embeddings) -> Iterator[_Rows | Failed]:
        per = self.settings.per
        if per == "frame":
            kept = list(unit.results)
        else:
            kept = list(pool_frames(unit.results, per=self.settings.grouped_by or "image", pool=self.settings.pool))
        failed = [result for result in kept if isinstance(result, Failed)]
        done = [result for result in kept if isinstance(result, Embedded)]
        for failure in failed:
            yield self._hidden(failure)
        if not done or (per == "frame" and failed):  # a file that fails half-way has failed
            self.known.discard(unit.content_hash)
            if failed:
                self._failures[unit.content_hash] = failed[-1]
            return
        if per == "volume" and done[0].n_frames > 1:
            done = _numbered([result for result in unit.results if isinstance(result, Embedded)]) + done
        place = place_of(first_item(unit.unit).content)
        rows = [
            image_row(
                result if self.key is None else _deidentified(result, self.key),
                content_hash=unit.content_hash,
                settings=self.settings.as_json(),
                path=None if self.key is not None else place,
                user=self.manifest.of(place),
            )
            for result in done
        ]
        yield self._name(unit.unit.name), rows

    def _seen_again(self, unit: Known) -> Present | Failed:
        """What has failed before, in this run and under another name, has failed again."""
        name, failure = unit.unit.name, self._failures.get(unit.content_hash)
        if failure is None:
            return Present(source=self._name(name))
        error = failure.error
        own = type(error)(error.problem, source=name, frame=error.frame, hint=error.hint)
        return self._hidden(Failed(index=-1, source=name, error=own))

    def _hidden(self, failure: Failed) -> Failed:
        if self.key is None:
            return failure
        return replace(failure, source=self._name(failure.source), error=deidentified_error(failure.error, self.key))

    def _name(self, name: str) -> str:
        return name if self.key is None else hashed_name(name, self.key)

    def _drained(self) -> Iterator[Skipped]:
        while self._skipped:
            yield self._skipped.popleft()


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


def _numbered(frames: list[Embedded]) -> list[Embedded]:
    """The frames, each with a place of its own in the unit: those of files that make no volume begin anew at 0."""
    if len({(frame.frame_index, frame.meta.tile_origin) for frame in frames}) == len(frames):
        return frames
    return [replace(frame, frame_index=place, n_frames=len(frames)) for place, frame in enumerate(frames)]


def _deidentified(result: Embedded, key: bytes) -> Embedded:
    return replace(result, source=hashed_name(result.source, key), meta=deidentified(result.meta, key))
