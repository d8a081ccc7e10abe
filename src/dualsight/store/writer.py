"""Rows → commits: the only place that changes what an index holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from dualsight.store import lance
from dualsight.store.rows import Row, as_table
from dualsight.store.schema import About, check_user_columns, table_schema

if TYPE_CHECKING:
    from lancedb.table import Table

_IDS_AT_A_TIME = 1_000


class Writer:
    """Adds rows to a table, and takes rows from it. Several may work on one table at once: each commit is alone."""

    def __init__(self, place: lance.Place, about: About, user: Mapping[str, pa.DataType]) -> None:
        """Makes the table where there is none, and the user's columns that it lacks. Raises StoreError."""
        self._table = _prepared(place, about, user)
        self._place = place

    def known(self, settings: str) -> set[str]:
        """The hashes of all content that is there, embedded with these settings: some 100 bytes of memory each."""
        rows = lance.read_columns(self._table, ["content_hash"], f"`settings` = '{_escaped(settings)}'")
        return set(rows["content_hash"].unique().to_pylist())

    def commit(self, rows: Sequence[Row]) -> None:
        """Adds the rows, all at once, that nobody else has added meanwhile. Raises StoreError."""
        if not rows:
            return
        with lance.writing(self._place):
            there = self._ids_there([row.id for row in rows])
            new = {row.id: row for row in rows if row.id not in there}
            if new:
                self._table.add(as_table(list(new.values()), self._table.schema))

    def prune(self, settings: str, seen: set[str]) -> int:
        """How many rows it took out: those with these settings whose content is not in `seen`."""
        with lance.writing(self._place):
            where = f"`settings` = '{_escaped(settings)}'"
            rows = lance.read_columns(self._table, ["id", "content_hash"], where).to_pylist()
            gone = [row["id"] for row in rows if row["content_hash"] not in seen]
            for start in range(0, len(gone), _IDS_AT_A_TIME):
                self._table.delete(_one_of(gone[start : start + _IDS_AT_A_TIME]))
        return len(gone)

    def _ids_there(self, ids: Sequence[str]) -> set[str]:
        there: set[str] = set()
        for start in range(0, len(ids), _IDS_AT_A_TIME):
            part = ids[start : start + _IDS_AT_A_TIME]
            there.update(lance.read_columns(self._table, ["id"], _one_of(part))["id"].to_pylist())
        return there


def _prepared(place: lance.Place, about: About, user: Mapping[str, pa.DataType]) -> Table:
    lance.library()  # without it no folder is made
    with lance.writing(place):
        if not lance.has_table(place):
            own = {name: kind for name, kind in user.items() if name not in table_schema(about, {}).names}
            check_user_columns(user, None)
            return lance.create_table(place, table_schema(about, own))
        table = lance.open_table(place)
        check_user_columns(user, table.schema)
        new = [pa.field(name, kind) for name, kind in user.items() if name not in table.schema.names]
        if new:
            table.add_columns(new)
        return table


def _one_of(ids: Sequence[str]) -> str:
    """Ids are hexadecimal digits of our own."""
    return f"`id` IN ({', '.join(repr(one) for one in ids)})"


def _escaped(text: str) -> str:
    return text.replace("'", "''")
