"""LanceDB, as much of it as an index needs: the only module that imports it.

A table is a folder of immutable files and a list of them for each version: a commit writes files, then takes the next
version's name, so that readers see all of it or nothing, and a killed writer leaves nothing that is seen. The library
has no telemetry; its cloud speaks only to addresses `db://…`, and what is opened here is always a local folder.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dualsight.errors import MissingExtra, StoreError

if TYPE_CHECKING:
    from lancedb.table import Table

NAME = "embeddings"
_LOCK = ".writing.lock"
_LOCK_S = 600.0


def _connect(folder: Path) -> Any:
    os.environ.setdefault("LANCE_LOG", "error")  # read at import; it warns of every table that is made
    try:
        import lancedb
    except ImportError as error:
        raise MissingExtra("an index needs LanceDB", hint="pip install 'dualsight[search]'") from error
    return lancedb.connect(
        folder.absolute(), read_consistency_interval=timedelta(0)
    )  # others' commits are seen at once


def has_table(folder: Path) -> bool:
    """Whether a table is there: its first version is, and not just what a killed writer had begun."""
    return any((folder / f"{NAME}.lance" / "_versions").glob("*.manifest"))


def open_table(folder: Path) -> Table:
    """The table in a folder. Raises StoreError if there is none or it is damaged, MissingExtra."""
    if not has_table(folder):
        raise StoreError(f"{folder}: no index is here", hint=f"make one: dualsight index add PICTURES --db {folder}")
    try:
        return _connect(folder).open_table(NAME)
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreError(f"{folder}: the index cannot be opened, it is damaged or of a newer version") from error


def create_table(folder: Path, schema: pa.Schema) -> Table:
    """A new empty table; call it under `writing`, and where there is none. Raises StoreError, MissingExtra."""
    try:
        return _connect(folder).create_table(NAME, schema=schema, mode="overwrite")  # what a killed writer had begun
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{folder}: no index can be made here") from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """One writer at a time, of any process; a killed one lets go, since the lock is the file system's (by SQLite).

    LanceDB lets writers commit at once, but then two of them may add the same row. Raises StoreError where nothing
    can be written, or another writer does not let go for ten minutes.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(folder / _LOCK, timeout=_LOCK_S, isolation_level=None)
        with closing(lock):
            lock.execute("BEGIN EXCLUSIVE")
            yield
    except (OSError, sqlite3.OperationalError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(f"{folder}: cannot be written ({reason})") from error


def read_columns(table: Table, columns: list[str], where: str | None = None) -> pa.Table:
    """Some columns of all rows, or of those that a filter picks."""
    query = table.search()
    if where is not None:
        query = query.where(where)
    return query.select(columns).limit(None).to_arrow()
