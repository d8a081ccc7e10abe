"""Files in any order → the series or studies that they belong to, by the UIDs in their headers.

    items ──first pass, headers alone──▶ a table on disk ──second pass──▶ one group at a time

A million files cost the disk some 200 MB and memory nothing: only one group is held. SQLite keeps the table in a
private file without a name, which is gone when it is closed, however the process ends.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from dualsight.errors import ImageError
from dualsight.image.archive import Member
from dualsight.image.limits import Limits
from dualsight.image.sniff import kind_of, read_head
from dualsight.image.source import Item
from dualsight.image.study import Series, Study

T = TypeVar("T")

_TABLES = """
PRAGMA journal_mode = off;
CREATE TABLE series (number INTEGER PRIMARY KEY, study TEXT, uid TEXT, UNIQUE (study, uid));
CREATE TABLE file (
    number INTEGER PRIMARY KEY, series INTEGER, instance_number INTEGER,
    name BLOB, path BLOB, entry INTEGER, max_bytes INTEGER
);
CREATE INDEX file_of ON file (series);
BEGIN;
"""
_ADD_SERIES = "INSERT INTO series (study, uid) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SERIES = "SELECT number, study FROM series ORDER BY number"
_STUDIES = "SELECT min(number) AS first, study FROM series GROUP BY coalesce(study, number) ORDER BY first"
_FILES = """
SELECT number, name, path, entry, max_bytes FROM file
WHERE series = ? ORDER BY instance_number IS NULL, instance_number, name, number
"""


def group(
    items: Iterable[T], *, per: Literal["series", "study"], limits: Limits | None = None
) -> Iterator[T | Series | Study]:
    """The series or studies of the DICOM files in `items`, each where its first file was; all else stays as it is.

    All of `items` is read before the first group comes. What is no Item, or an Item whose content is neither a path
    nor in an archive, is held in memory meanwhile. A file whose header is damaged or names no series stays alone.
    """
    limits = limits or Limits()
    with closing(_Table()) as table:
        for item in items:
            table.add(item, _uids(item, limits) if isinstance(item, Item) else None)
        yield from table.groups(per)


@dataclass(frozen=True, slots=True)
class _Uids:
    """Where a file belongs."""

    study: str | None
    series: str
    instance_number: int | None = None


def _uids(item: Item, limits: Limits) -> _Uids | None:
    """From the item itself, else from its header; None for what is no DICOM, names no series or is damaged."""
    if item.series_instance_uid:
        return _Uids(item.study_instance_uid, item.series_instance_uid)
    try:
        content = item.load()
        is_dicom = kind_of(read_head(content, item.name)) == "dicom"
        return _read_uids(content, item.name, limits) if is_dicom else None
    except (ImageError, OSError):
        return None  # whoever opens it is told


def _read_uids(content: Path | bytes, name: str, limits: Limits) -> _Uids | None:
    from dualsight.image.dicom.file import open_dicom
    from dualsight.image.dicom.meta import describe
    from dualsight.image.quiet import damage

    with open_dicom(content, name, limits) as file, damage(name, "the DICOM header is damaged"):
        meta = describe(file.header)
        number = file.header.get("InstanceNumber")
    if not meta.series_instance_uid:
        return None
    order = int(number) if isinstance(number, int) and abs(number) < 1 << 31 else None  # VR IS (PS3.5 6.2)
    return _Uids(meta.study_instance_uid, meta.series_instance_uid, order)


class _Table:
    """The files and their series, on disk; numbered from 1 as they come, a series by its first file."""

    def __init__(self) -> None:
        # one thread at a time, but not always the same one
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(_TABLES)
        self._held: dict[int, Any] = {}
        self._n_files = 0

    def close(self) -> None:
        self._db.close()

    def add(self, thing: object, uids: _Uids | None) -> None:
        """Files `thing` under its series, or alone."""
        self._n_files += 1
        name = path = entry = max_bytes = None
        match thing:
            case Item(content=Path() as content):
                name, path = os.fsencode(thing.name), os.fsencode(content)
            case Item(content=Member() as content):
                name, path = os.fsencode(thing.name), os.fsencode(content.archive)
                entry, max_bytes = content.entry, content.max_bytes
            case _:
                self._held[self._n_files] = thing
        row = (self._n_files, self._series_number(uids), uids and uids.instance_number, name, path, entry, max_bytes)
        self._db.execute("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _series_number(self, uids: _Uids | None) -> int | None:
        if uids is None:
            return self._db.execute(_ADD_SERIES, (None, None)).lastrowid  # no two such rows are the same to SQL
        study = uids.study or f"that of series {uids.series}"
        self._db.execute(_ADD_SERIES, (study, uids.series))
        found = self._db.execute("SELECT number FROM series WHERE study = ? AND uid = ?", (study, uids.series))
        return int(found.fetchone()[0])

    def groups(self, per: Literal["series", "study"]) -> Iterator[Any]:
        """The groups, in the order of their first files."""
        for number, study in self._db.execute(_SERIES if per == "series" else _STUDIES):
            if study is None:
                yield self._files(number)[0][1]
            elif per == "series":
                yield self._series(number)[1]
            else:
                rows = self._db.execute("SELECT number FROM series WHERE study = ? ORDER BY number", (study,))
                found = [self._series(number) for (number,) in rows]
                yield Study(name=min(found)[1].name, series=tuple(series for _, series in found))

    def _series(self, number: int) -> tuple[int, Series]:
        """The number of its first file, and the series."""
        files = self._files(number)
        first = min(files, key=lambda file: file[0])
        return first[0], Series(name=first[1].name, items=tuple(item for _, item in files))

    def _files(self, series: int) -> list[tuple[int, Any]]:
        """The files of a series, each with its number, in the order of their instance numbers."""
        return [(row[0], self._item(*row)) for row in self._db.execute(_FILES, (series,))]

    def _item(self, number: int, name: bytes, path: bytes, entry: int | None, max_bytes: int | None) -> Any:
        if number in self._held:
            return self._held.pop(number)
        text, place = os.fsdecode(name), Path(os.fsdecode(path))
        if entry is None or max_bytes is None:
            return Item(name=text, content=place)
        return Item(name=text, content=Member(name=text, archive=place, entry=entry, max_bytes=max_bytes))
