"""What an index says of itself and of what was done to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from dualsight.store.add import Added, Event, Present
from dualsight.store.schema import About
from dualsight.task.embed import Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an `add` did. n_present: units that were there before. failed: pictures that could not be used."""

    n_added: int
    n_rows: int
    n_present: int
    n_pruned: int
    failed: tuple[Failed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What an index holds. kinds: rows of each. unindexed: rows that an approximate index does not cover yet."""

    about: About
    n_rows: int
    kinds: dict[str, int]
    user_columns: tuple[str, ...]
    version: int
    n_bytes: int
    is_approximate: bool
    n_unindexed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A state that the index was in, and can be brought back to."""

    number: int
    time: datetime
    n_rows: int


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts the events of an `add`."""

    n_added: int = 0
    n_rows: int = 0
    n_present: int = 0
    failed: list[Failed] = field(default_factory=list)

    def count(self, event: Event) -> None:
        """Counts one in."""
        match event:
            case Added():
                self.n_added += 1
                self.n_rows += event.n_rows
            case Present():
                self.n_present += 1
            case Failed():
                self.failed.append(event)
            case _:  # no picture: nothing that was to be added
                pass
