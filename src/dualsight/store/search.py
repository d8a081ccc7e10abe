"""A vector → the nearest rows: every row compared while they are few, an approximate index where they are many.

    exact        every vector that the filter lets through is read and compared
    approximate  IVF: the rows are in lists by their nearest of some centres, and only the lists of the `n_lists`
                 centres nearest to the query are looked into, and others where a filter leaves too few rows in them;
                 RaBitQ codes of a bit a dimension (arXiv 2405.12497) choose `refine` times as many rows as asked for,
                 whose own vectors then decide

Both give exact cosines. Rows added since the index was built are compared one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dualsight.errors import StoreError
from dualsight.store.filter_tree import Filter, names, render
from dualsight.store.filters import parse
from dualsight.store.hits import SCORE, Hits
from dualsight.store.schema import VECTOR, filter_columns

if TYPE_CHECKING:
    from lancedb.table import Table

MAX_HITS = 10_000
GROUPS = {"volume": "content_hash", "study": "study_instance_uid", "series": "series_instance_uid"}
"""What is grouped by under another name than its column's."""
RERANK_REFINE = 100  # times as many rows compared exactly as asked for, in twice as many lists
_TUNED = "dualsight.approximate"
_MORE = 4  # times as many hits asked for where too many were of the same group


@dataclass(frozen=True, slots=True, kw_only=True)
class Approximate:
    """How an approximate index is asked. n_lists: looked into; refine: times as many rows compared exactly."""

    n_lists: int
    refine: int


def tuned(table: Table) -> Approximate | None:
    """How the table's approximate index is to be asked; None where it has none."""
    metadata = table.schema.field(VECTOR).metadata or {}
    words = metadata.get(_TUNED.encode())
    if words is None or not any(index.columns == [VECTOR] for index in table.list_indices()):
        return None
    n_lists, refine = words.decode().split()
    return Approximate(n_lists=int(n_lists), refine=int(refine))


def keep_tuned(table: Table, how: Approximate) -> None:
    """Writes down how to ask, beside the vectors."""
    table.update_field_metadata({"path": VECTOR, "metadata": {_TUNED: f"{how.n_lists} {how.refine}"}})


def search(
    table: Table,
    vector: NDArray[np.float32],
    *,
    k: int = 10,
    where: str = "",
    kind: str | None = None,
    per: str | None = None,
    rerank: bool = False,
    exact: bool = False,
) -> Hits:
    """The k rows nearest to `vector`, float32 [D] of unit length.

    where: a filter (see `filters`). kind: only rows of this kind; without it all but texts; not used where the filter
    names `kind`. per: the best hit of each "volume", "study", "series", or value of a column; a row that has none is
    its own. rerank: approximate search looks further and compares more rows exactly. exact: no approximate search.
    Raises StoreError for k out of range or an unknown `per`, FilterError.
    """
    if not 1 <= k <= MAX_HITS:
        raise StoreError(f"{k:,} hits cannot be given", hint=f"from 1 to {MAX_HITS:,}")
    condition = _condition(table, where, kind)
    how = None if exact else tuned(table)
    if how is not None and rerank:
        how = Approximate(n_lists=2 * how.n_lists, refine=RERANK_REFINE)
    n_rows = table.count_rows()
    group = _group_column(table, per)
    n = k
    while True:
        found = nearest(table, vector, k=n, condition=condition, how=how)
        distinct = _first_of_each(found, group) if group else found
        if distinct.num_rows >= k or found.num_rows < n or n >= n_rows:
            return Hits(table=distinct.slice(0, k), is_exact=how is None, n_rows=n_rows)
        n = min(_MORE * n, n_rows)


def nearest(
    table: Table,
    vector: NDArray[np.float32],
    *,
    k: int,
    condition: str = "",
    how: Approximate | None = None,
    columns: list[str] | None = None,
) -> pa.Table:
    """The k nearest rows with `score` first, by falling score, and by id where scores are alike."""
    query: Any = table.search(vector, vector_column_name=VECTOR)
    query = query.distance_type("cosine")
    query = query.bypass_vector_index() if how is None else query.nprobes(how.n_lists).refine_factor(how.refine)
    if condition:
        query = query.where(condition, prefilter=True)
        if how is not None:
            query = query.maximum_nprobes(0)  # a narrow filter's rows may be in other lists: all, until there are k
    columns = columns or [name for name in table.schema.names if name != VECTOR]
    found = query.select([*dict.fromkeys(["id", *columns]), "_distance"]).limit(k).to_arrow()
    score = pc.subtract(pa.scalar(1.0, pa.float32()), found["_distance"])
    found = found.drop_columns(["_distance"]).add_column(0, SCORE, score)
    return found.sort_by([(SCORE, "descending"), ("id", "ascending")])


def without_texts(table: Table, where: str) -> str:
    """A user's filter for Lance, with all texts left out, whatever it says of kinds. Raises FilterError."""
    own = f" AND ({render(parse(where, filter_columns(table.schema)))})" if where.strip() else ""
    return f"`kind` <> 'text'{own}"


def _condition(table: Table, where: str, kind: str | None) -> str:
    """The filter for Lance, with the kinds that are meant where the user's own does not say."""
    tree: Filter | None = parse(where, filter_columns(table.schema)) if where.strip() else None
    conditions = [f"({render(tree)})"] if tree is not None else []
    if tree is None or "kind" not in names(tree):
        conditions.append(f"`kind` = '{kind}'" if kind else "`kind` <> 'text'")
    return " AND ".join(conditions)


def _group_column(table: Table, per: str | None) -> str | None:
    if per is None:
        return None
    column = GROUPS.get(per, per)
    if column not in filter_columns(table.schema):
        known = ", ".join([*GROUPS, *sorted(filter_columns(table.schema))])
        raise StoreError(f"no column {per} to have one hit each of", hint=f"one of: {known}")
    return column


def _first_of_each(found: pa.Table, column: str) -> pa.Table:
    """The first row of each value; rows without one all stay."""
    seen: set[object] = set()
    kept: list[int] = []
    for place, value in enumerate(found[column].to_pylist()):
        if value is None or value not in seen:
            seen.add(value)
            kept.append(place)
    return found.take(pa.array(kept, pa.int64()))
