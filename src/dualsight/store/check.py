"""How much of exact search an approximate index gives, measured on the table itself, and set so that it is enough."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import StoreError
from dualsight.store.rows import as_vectors
from dualsight.store.schema import VECTOR
from dualsight.store.search import Approximate, keep_tuned, nearest, tuned

if TYPE_CHECKING:
    from lancedb.table import Table

APPROXIMATE_FROM = 100_000
"""Rows from which `optimize` builds an approximate index: below, exact search takes a moment."""
MIN_RECALL = 0.98
_MARGIN = 0.005  # a sample of queries may be kinder than the next one
_REFINES = (10, 30)
_SAMPLE_RATE = 64  # vectors a centre is trained on; LanceDB's 256 takes four times as long for no recall we could see


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """recall: the share of the exact k nearest that approximate search found, mean over queries. Times are medians."""

    n_rows: int
    n_queries: int
    k: int
    recall: float
    exact_ms: float
    approximate_ms: float
    how: Approximate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sample:
    """Rows of the table as queries, and the ids of their exact neighbours, themselves left out."""

    vectors: NDArray[np.float32]
    ids: list[str]
    neighbours: list[set[str]]
    exact_ms: float


def check(table: Table, *, n_queries: int = 100, k: int = 10, seed: int = 0) -> Recall:
    """The recall of the approximate index, with rows of the table as queries. Raises StoreError where there is none."""
    how = tuned(table)
    if how is None:
        problem = "there is no approximate index: every search is exact"
        raise StoreError(problem, hint=f"`dualsight index optimize` builds one from {APPROXIMATE_FROM:,} rows on")
    return _measure(table, _sample(table, n_queries, k, seed), k, how)


def build(table: Table, *, k: int = 10) -> Recall:
    """Builds the approximate index, and sets how it is asked: the fewest lists that give MIN_RECALL of exact search.

    Takes minutes for a million rows. Raises StoreError where no setting gives it.
    """
    from lancedb.index import IvfRq

    table.create_index(VECTOR, config=IvfRq(distance_type="cosine", sample_rate=_SAMPLE_RATE), replace=True)
    sample = _sample(table, 60, k, seed=1)
    n_lists_there = max(1, table.count_rows() // 1_000)
    for refine in _REFINES:
        n_lists = 5
        while n_lists <= max(10, n_lists_there):
            measured = _measure(table, sample, k, Approximate(n_lists=n_lists, refine=refine))
            if measured.recall >= MIN_RECALL + _MARGIN:
                keep_tuned(table, measured.how)
                return measured
            n_lists *= 2
    problem = f"no setting of the approximate index finds {MIN_RECALL:.0%} of the nearest: searches stay exact"
    raise StoreError(problem, hint="tell us what the vectors are of")


def _sample(table: Table, n_queries: int, k: int, seed: int) -> _Sample:
    n_rows = table.count_rows()
    places = np.random.default_rng(seed).choice(n_rows, min(n_queries, n_rows), replace=False)
    rows = table.take_offsets(sorted(places.tolist())).select(["id", VECTOR]).to_arrow()
    vectors = as_vectors(rows[VECTOR])
    ids = rows["id"].to_pylist()
    neighbours, seconds = _asked(table, vectors, ids, k, None)
    return _Sample(vectors=vectors, ids=ids, neighbours=neighbours, exact_ms=seconds * 1e3)


def _measure(table: Table, sample: _Sample, k: int, how: Approximate) -> Recall:
    found, seconds = _asked(table, sample.vectors, sample.ids, k, how)
    shares = [len(got & true) / len(true) for got, true in zip(found, sample.neighbours, strict=True) if true]
    return Recall(
        n_rows=table.count_rows(),
        n_queries=len(shares),
        k=k,
        recall=float(np.mean(shares)),
        exact_ms=sample.exact_ms,
        approximate_ms=seconds * 1e3,
        how=how,
    )


def _asked(
    table: Table, vectors: NDArray[np.float32], ids: Sequence[str], k: int, how: Approximate | None
) -> tuple[list[set[str]], float]:
    """The ids of the k nearest of each query but itself, and the median seconds that one took."""
    answers: list[set[str]] = []
    seconds: list[float] = []
    for vector, own in zip(vectors, ids, strict=True):
        start = time.perf_counter()
        found: list[Any] = nearest(table, vector, k=k + 1, how=how, columns=["id"])["id"].to_pylist()
        seconds.append(time.perf_counter() - start)
        answers.append(set([one for one in found if one != own][:k]))
    return answers, float(np.median(seconds))
