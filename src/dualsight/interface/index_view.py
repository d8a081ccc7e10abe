"""What of an index others may see and ask about: not where on the server's own disk its pictures lie."""

from __future__ import annotations

from typing import Any

from dualsight.errors import StoreError
from dualsight.store.filters import ColumnType, parse
from dualsight.store.hits import Hits
from dualsight.store.index import Index
from dualsight.store.schema import filter_columns
from dualsight.store.search import GROUPS

HIDDEN = ("path", "settings")


def visible_columns(index: Index) -> dict[str, ColumnType]:
    """What a filter of others' may name."""
    return {name: kind for name, kind in filter_columns(index.schema).items() if name not in HIDDEN}


def check_columns(index: Index, where: str, per: str | None = None) -> None:
    """Raises FilterError for a filter, StoreError for a `per`, over columns that are not visible."""
    columns = visible_columns(index)
    if where.strip():
        parse(where, columns)
    if per is not None and per not in GROUPS and per not in columns:
        raise StoreError(f"no column {per} to have one hit each of", hint=f"one of: {', '.join([*GROUPS, *columns])}")


def visible_rows(hits: Hits) -> list[dict[str, Any]]:
    """The hits, nearest first, `score` and the visible columns of each."""
    rows: list[dict[str, Any]] = hits.to_arrow().drop_columns(list(HIDDEN)).to_pylist()
    return rows
