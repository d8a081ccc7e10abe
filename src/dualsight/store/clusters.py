"""Rows of an index → groups that are alike, and places in a plane where near means alike."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dualsight.errors import MissingExtra, StoreError
from dualsight.store.rows import as_vectors
from dualsight.store.schema import VECTOR
from dualsight.store.search import without_texts

if TYPE_CHECKING:
    from lancedb.table import Table

Layout = Literal["pca", "umap"]
MAX_CLUSTERS = 20
_ITERATIONS = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clusters:
    """n rows, without their vectors. labels: int [n], the cluster of each, 0 the largest. xy: float [n, 2], 0…1."""

    rows: pa.Table
    labels: NDArray[np.int64]
    xy: NDArray[np.float64]
    layout: Layout
    n_rows: int  # of the index, of which these are a sample


def cluster(
    table: Table,
    *,
    n_clusters: int | None = None,
    layout: Layout = "pca",
    where: str = "",
    max_points: int = 2_000,
    seed: int = 0,
) -> Clusters:
    """k-means over at most `max_points` rows drawn at random (texts left out), and their map.

    n_clusters: the root of half the rows without it, at most MAX_CLUSTERS. layout: the two directions in which they
    differ most (PCA), or UMAP (arXiv 1802.03426), which keeps neighbours and no distances.
    Raises StoreError for under three rows, FilterError, MissingExtra for UMAP where it is not installed.
    """
    condition = without_texts(table, where)
    ids = table.search().where(condition).select(["id"]).with_row_id(True).limit(None).to_arrow()["_rowid"].to_numpy()
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(ids)[:max_points])
    if len(chosen) < 3:
        raise StoreError(f"{len(chosen)} rows make no map", hint="add more, or a wider filter")
    rows = table.take_row_ids(chosen.tolist()).to_arrow()
    vectors = as_vectors(rows[VECTOR]).astype(np.float64)
    k = min(n_clusters or min(MAX_CLUSTERS, round((len(vectors) / 2) ** 0.5)), len(vectors))
    places = _pca(vectors) if layout == "pca" else _umap(vectors, seed)
    return Clusters(
        rows=rows.drop_columns([VECTOR]),
        labels=_by_size(_k_means(vectors, max(1, k), rng)),
        xy=_spread(places),
        layout=layout,
        n_rows=table.count_rows(),
    )


def _k_means(vectors: NDArray[np.float64], k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    from scipy.cluster.vq import kmeans2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cluster that ran empty is none, and is not missed
        return np.asarray(kmeans2(vectors, k, iter=_ITERATIONS, minit="++", rng=rng)[1], np.int64)


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same clusters, numbered from the largest."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return np.asarray(np.argsort(order)[inverse], np.int64)


def _pca(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(centred @ directions[:2].T)


def _umap(vectors: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    try:
        umap = import_module("umap")
    except ImportError as error:
        raise MissingExtra("UMAP is not installed", hint="pip install umap-learn, or use the layout pca") from error
    reducer = umap.UMAP(metric="cosine", random_state=seed, n_jobs=1)
    return np.asarray(reducer.fit_transform(vectors), np.float64)


def _spread(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The places in a unit square, not stretched."""
    low, width = places.min(axis=0), np.ptp(places, axis=0).max() or 1.0
    return np.asarray((places - low) / width)
