"""LanceDB, as much of it as an index needs: the only module that imports it.

A table is a folder of immutable files and a list of them for each version: a commit writes files, then takes the next
version's name, so that readers see all of it or nothing, and a killed writer leaves nothing that is seen. The library
has no telemetry; its cloud speaks only to addresses `db://…`. What is opened here is a local folder, or an address in
an object store, with credentials from the environment.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from dualsight.errors import ImageError, MissingExtra, StoreError
from dualsight.image.object_store import file_system, is_address, told
from dualsight.store.lock import writing

if TYPE_CHECKING:
    from lancedb.table import Table

__all__ = ["Place", "create_table", "has_table", "n_bytes", "open_table", "place_of", "read_columns", "writing"]

Place: TypeAlias = Path | str
"""A folder, or an address in an object store."""
NAME = "embeddings"


def place_of(where: str | Path) -> Place:
    """What a user means: an address stays as it is, all else is a folder."""
    return where if is_address(where) else Path(where)


def library() -> Any:
    """LanceDB, imported when first used. Raises MissingExtra."""
    os.environ.setdefault("LANCEDB_LOG", "error")  # read at import; it warns of every table that is made
    try:
        import lancedb
    except ImportError as error:
        raise MissingExtra("an index needs LanceDB", hint="pip install 'dualsight[search]'") from error
    return lancedb


def _connect(place: Place) -> Any:
    uri = place.absolute() if isinstance(place, Path) else place
    return library().connect(uri, read_consistency_interval=timedelta(0))  # others' commits are seen at once


def has_table(place: Place) -> bool:
    """Whether a table is there: its first version is, and not just what a killed writer had begun.

    Raises StoreError for a store that does not answer.
    """
    if isinstance(place, Path):
        return any((place / f"{NAME}.lance" / "_versions").glob("*.manifest"))
    try:
        files, path = file_system(place)
        with told(place):
            try:
                names = files.ls(f"{path}/{NAME}.lance/_versions", detail=False)
            except FileNotFoundError:
                return False
    except ImageError as error:
        raise StoreError(str(error), hint=error.hint) from error
    return any(str(name).endswith(".manifest") for name in names)


def n_bytes(place: Place) -> int:
    """How much it takes of a disk or store."""
    if isinstance(place, Path):
        return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    files, path = file_system(place)
    with told(place):
        return int(files.du(path))


def open_table(place: Place) -> Table:
    """The table in a place. Raises StoreError if there is none or it is damaged, MissingExtra."""
    if not has_table(place):
        raise StoreError(f"{place}: no index is here", hint=f"make one: dualsight index add PICTURES --db {place}")
    try:
        return _connect(place).open_table(NAME)
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreError(f"{place}: the index cannot be opened, it is damaged or of a newer version") from error


def create_table(place: Place, schema: pa.Schema) -> Table:
    """A new empty table; call it under `writing`, and where there is none. Raises StoreError, MissingExtra."""
    try:
        return _connect(place).create_table(NAME, schema=schema, mode="overwrite")  # what a killed writer had begun
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{place}: no index can be made here") from error


def read_columns(table: Table, columns: list[str], where: str | None = None) -> pa.Table:
    """Some columns of all rows, or of those that a filter picks."""
    query = table.search()
    if where is not None:
        query = query.where(where)
    return query.select(columns).limit(None).to_arrow()
