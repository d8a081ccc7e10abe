"""Precision of search against labels, as MedImageInsight's 2-D search example measures it.

Each row of a sample is a query; of its k nearest rows, itself left out, the share with its label is its precision@k.
Macro: the mean over labels of the mean over their queries, so that rare labels count as much as common ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dualsight.errors import StoreError
from dualsight.store.rows import as_vectors
from dualsight.store.schema import VECTOR, filter_columns
from dualsight.store.search import Approximate, nearest

if TYPE_CHECKING:
    from lancedb.table import Table

KS = (1, 3, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """precisions: macro precision@k for each of `ks`, 0…1. chance: what rows drawn at random would give."""

    label: str
    n_queries: int
    n_labels: int
    ks: tuple[int, ...]
    precisions: tuple[float, ...]
    chance: float


def evaluate(
    table: Table,
    label: str,
    *,
    ks: Sequence[int] = KS,
    n_queries: int = 1_000,
    apart: str | None = None,
    how: Approximate | None = None,
    seed: int = 0,
) -> Precision:
    """Macro precision@k of pictures as queries, against the column `label`; rows without a label are left out.

    apart: a column, such as the patient's; a query's hits are those of another value, since a patient's own
    pictures are easy to find. Raises StoreError for a column that is not there, and for fewer than two labelled rows.
    """
    _check_columns(table, label, apart)
    condition = f"`{label}` IS NOT NULL AND `kind` <> 'text'"
    columns = list(dict.fromkeys(["id", label, *([apart] if apart else [])]))
    rows = table.search().where(condition).select(columns).limit(None).to_arrow()
    if rows.num_rows < 2:
        raise StoreError(f"only {rows.num_rows} rows have a {label}: nothing to measure with")
    labels = rows[label].to_pylist()
    chosen = np.random.default_rng(seed).permutation(rows.num_rows)[:n_queries]
    scores: dict[object, list[list[float]]] = {}
    for query in rows.take(chosen).to_pylist():
        own = _vector(table, query["id"])
        others = f"{condition} AND `id` <> '{query['id']}'"
        found = _first_others(table, own, others, query, label, apart, max(ks), how)
        hit = [value == query[label] for value in found]
        scores.setdefault(query[label], []).append([sum(hit[:k]) / k for k in ks])
    means = np.array([np.mean(one, axis=0) for one in scores.values()])
    shares = [labels.count(value) / len(labels) for value in scores]
    return Precision(
        label=label,
        n_queries=len(chosen),
        n_labels=len(scores),
        ks=tuple(ks),
        precisions=tuple(float(mean) for mean in means.mean(axis=0)),
        chance=float(np.mean(shares)),
    )


def _check_columns(table: Table, *columns: str | None) -> None:
    known = sorted(filter_columns(table.schema))
    for column in filter(None, columns):
        if column not in known:
            raise StoreError(f"no column {column}", hint=f"columns are {', '.join(known)}")


def _vector(table: Table, row: str) -> np.ndarray:
    found = table.search().where(f"`id` = '{row}'").select([VECTOR]).limit(1).to_arrow()
    return as_vectors(found[VECTOR])[0]


def _first_others(
    table: Table,
    vector: np.ndarray,
    condition: str,
    query: dict[str, object],
    label: str,
    apart: str | None,
    k: int,
    how: Approximate | None,
) -> list[object]:
    """The labels of the k nearest rows that are not of the query's own group."""
    n = k
    while True:
        found = nearest(table, vector, k=n, condition=condition, how=how, columns=[label, *([apart] if apart else [])])
        rows = found.to_pylist()
        kept = [row[label] for row in rows if apart is None or row[apart] is None or row[apart] != query[apart]]
        if len(kept) >= k or len(rows) < n:
            return kept[:k]
        n *= 4
