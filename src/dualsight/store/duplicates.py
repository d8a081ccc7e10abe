"""Rows of an index that are nearly the same. The same content is there once; this is the same picture saved anew.

Few rows are all compared with each other; of many, each asks the approximate index for those next to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from dualsight.errors import StoreError
from dualsight.store.hits import SCORE
from dualsight.store.rows import as_vectors
from dualsight.store.schema import VECTOR
from dualsight.store.search import Approximate, nearest, tuned, without_texts
from dualsight.task.near_duplicates import check_cosine, near_duplicates

if TYPE_CHECKING:
    from lancedb.table import Table

ALL_PAIRS = 50_000
"""Rows up to which all pairs are compared: minutes, and four bytes a number in memory."""
NEXT_TO = 20  # rows that each of many is compared with
_SHOWN = ["id", "kind", "source", "frame_index", "n_frames", "tile_x", "tile_y"]
_BATCH = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Two rows, with the columns that say which they are, and the cosine of their vectors."""

    first: Mapping[str, Any]
    second: Mapping[str, Any]
    cosine: float


def duplicates(table: Table, *, cosine: float = 0.99, where: str = "") -> Iterator[Duplicate]:
    """Pairs of rows, texts left out, whose cosine is at least `cosine`; each pair once.

    Up to ALL_PAIRS rows every pair is found; of more, those among the NEXT_TO nearest that approximate search finds,
    which takes a search for each row. Raises StoreError where there are so many and no approximate index,
    FilterError, ConfigError for a cosine outside -1…1.
    """
    check_cosine(cosine)
    condition = without_texts(table, where)
    if table.count_rows(condition) <= ALL_PAIRS:
        return _among_all(table, condition, cosine)
    how = tuned(table)
    if how is None:
        hint = "`dualsight index optimize`, or a filter"
        raise StoreError(f"more than {ALL_PAIRS:,} rows, and no approximate index", hint=hint)
    return _next_to_each(table, condition, cosine, how)


def _among_all(table: Table, condition: str, cosine: float) -> Iterator[Duplicate]:
    rows = table.search().where(condition).select([*_SHOWN, VECTOR]).limit(None).to_arrow()
    shown = rows.drop_columns([VECTOR])
    for pair in near_duplicates(as_vectors(rows[VECTOR]), cosine=cosine):
        first, second = (shown.slice(place, 1).to_pylist()[0] for place in (pair.first, pair.second))
        yield Duplicate(first=first, second=second, cosine=pair.cosine)


def _next_to_each(table: Table, condition: str, cosine: float, how: Approximate) -> Iterator[Duplicate]:
    """A pair is found by one of its rows or by both: by NEXT_TO nearer ones the other may be hidden."""
    rows = table.search().where(condition).select([*_SHOWN, VECTOR]).limit(None)
    told: set[tuple[str, str]] = set()  # pairs that the second row may find again
    for batch in rows.to_batches(batch_size=_BATCH):
        shown = batch.drop_columns([VECTOR]).to_pylist()
        for row, vector in zip(shown, batch[VECTOR].to_pylist(), strict=True):
            found = nearest(table, vector, k=NEXT_TO + 1, condition=condition, how=how, columns=_SHOWN)
            for other in found.to_pylist():
                score = other.pop(SCORE)
                if score < cosine or other["id"] == row["id"]:
                    continue
                first, second = sorted((row, other), key=itemgetter("id"))
                pair = (first["id"], second["id"])
                if pair in told:
                    told.remove(pair)
                    continue
                told.add(pair)
                yield Duplicate(first=first, second=second, cosine=score)
