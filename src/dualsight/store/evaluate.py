"""Precision of search against labels, as MedImageInsight's 2-D search example measures it.

Each row of a sample is a query; of its k nearest rows, itself left out, the share with its label is its precision@k.
Macro: the mean over labels of the mean over their queries, so that rare labels count as much as common ones.
The same is measured of features that something makes of the vectors, such as an adapter, by Euclidean distance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dualsight.errors import StoreError
from dualsight.store.rows import as_vectors
from dualsight.store.schema import VECTOR, filter_columns
from dualsight.store.search import Approximate, nearest

if TYPE_CHECKING:
    from lancedb.table import Table

KS = (1, 3, 5)
Features: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.floating]]
"""What makes features [n, F] of vectors [n, D]."""
_BATCH = 1_024


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
    rows = table.search().where(condition).select(_columns(label, apart)).limit(None).to_arrow()
    if rows.num_rows < 2:
        raise StoreError(f"only {rows.num_rows} rows have a {label}: nothing to measure with")
    labels = rows[label].to_pylist()
    chosen = np.random.default_rng(seed).permutation(rows.num_rows)[:n_queries]
    found: list[tuple[object, list[object]]] = []
    for query in rows.take(chosen).to_pylist():
        own = _vector(table, query["id"])
        others = f"{condition} AND `id` <> '{query['id']}'"
        found.append((query[label], _first_others(table, own, others, query, label, apart, max(ks), how)))
    return _precision(label, labels, found, ks)


def evaluate_features(
    table: Table,
    label: str,
    features: Features,
    *,
    ks: Sequence[int] = KS,
    n_queries: int = 1_000,
    apart: str | None = None,
    seed: int = 0,
) -> Precision:
    """The same, of the same queries, with `features` [n, F] of the vectors [n, D] in their place.

    All labelled rows' features are held in memory, and every one is compared. Raises as `evaluate` does.
    """
    _check_columns(table, label, apart)
    condition = f"`{label}` IS NOT NULL AND `kind` <> 'text'"
    query = table.search().where(condition).select([*_columns(label, apart), VECTOR]).limit(None)
    made: list[NDArray[np.float32]] = []
    labels: list[object] = []
    groups: list[object] = []
    for batch in query.to_batches(batch_size=_BATCH):
        made.append(np.asarray(features(as_vectors(pa.chunked_array([batch[VECTOR]]))), np.float32))
        labels += batch[label].to_pylist()
        groups += batch[apart].to_pylist() if apart else [None] * batch.num_rows
    if len(labels) < 2:
        raise StoreError(f"only {len(labels)} rows have a {label}: nothing to measure with")
    every = np.concatenate(made)  # [n, F]
    squares = (every**2).sum(axis=1)
    chosen = np.random.default_rng(seed).permutation(len(labels))[:n_queries]
    found: list[tuple[object, list[object]]] = []
    for place in chosen:
        distances = squares - 2 * every @ every[place]  # but for the query's own square, the same for all
        distances[place] = np.inf
        others = (n for n in np.argsort(distances, kind="stable") if n != place and _is_apart(groups, n, place))
        found.append((labels[place], [labels[n] for n in islice(others, max(ks))]))
    return _precision(label, labels, found, ks)


def _columns(label: str, apart: str | None) -> list[str]:
    return list(dict.fromkeys(filter(None, ("id", label, apart))))


def _is_apart(groups: Sequence[object], one: int, other: int) -> bool:
    return groups[one] is None or groups[one] != groups[other]


def _precision(
    label: str, labels: Sequence[object], found: Sequence[tuple[object, Sequence[object]]], ks: Sequence[int]
) -> Precision:
    """found: of each query its label, and those of its nearest. labels: of all rows."""
    scores: dict[object, list[list[float]]] = {}
    for own, values in found:
        hit = [value == own for value in values]
        scores.setdefault(own, []).append([sum(hit[:k]) / k for k in ks])
    means = np.array([np.mean(one, axis=0) for one in scores.values()])
    return Precision(
        label=label,
        n_queries=len(found),
        n_labels=len(scores),
        ks=tuple(ks),
        precisions=tuple(float(mean) for mean in means.mean(axis=0)),
        chance=float(np.mean([labels.count(value) / len(labels) for value in scores])),
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
