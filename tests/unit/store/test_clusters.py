"""Groups of vectors that are plainly apart, and their places in a plane."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dualsight.errors import FilterError, MissingExtra, StoreError
from dualsight.store.clusters import cluster
from index_tables import circle, write_table

DEGREES = (100, 0, 1, 2, 101, 200, 3)  # groups of four, two and one
SIDES = ["l", "r", "l", "r", "l", "r", "l", "l"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("table")
    return write_table(folder, circle(*DEGREES, 300), kind=["image"] * 7 + ["text"], side=SIDES)


def test_groups_are_numbered_from_the_largest(table: Any) -> None:
    found = cluster(table, n_clusters=3)
    assert found.labels.tolist() == [1, 0, 0, 0, 1, 2, 0]
    assert found.rows["id"].to_pylist() == [f"{place:032x}" for place in range(7)]  # the text is left out
    assert "vector" not in found.rows.column_names
    assert (found.layout, found.n_rows) == ("pca", 8)


def test_places_keep_the_shape_in_a_unit_square(table: Any) -> None:
    found = cluster(table, n_clusters=3)
    assert found.xy.shape == (7, 2)
    assert found.xy.min(axis=0).tolist() == [0, 0] and found.xy.max() == 1
    at = circle(*DEGREES).astype(float)
    between = np.linalg.norm(at[:, None] - at, axis=2)
    drawn = np.linalg.norm(found.xy[:, None] - found.xy, axis=2)
    np.testing.assert_allclose(
        drawn / drawn.max(), between / between.max(), atol=1e-6
    )  # of two dimensions none is lost
    assert found.xy[:, 0].max() == 1 > found.xy[:, 1].max()  # the first direction is the longest


def test_how_many_groups(table: Any) -> None:
    assert set(cluster(table).labels.tolist()) <= {0, 1}  # √(7/2) ≈ 2
    assert set(cluster(table, n_clusters=1).labels.tolist()) == {0}
    assert max(cluster(table, n_clusters=99).labels) < 7


def test_a_sample_is_drawn_by_its_seed(table: Any) -> None:
    drawn = [cluster(table, max_points=4, seed=seed).rows["id"].to_pylist() for seed in range(4)]
    assert all(len(ids) == 4 and ids == sorted(ids) for ids in drawn)
    assert len({tuple(ids) for ids in drawn}) > 1
    assert drawn[0] == cluster(table, max_points=4).rows["id"].to_pylist()


def test_only_what_the_filter_lets_through(table: Any) -> None:
    found = cluster(table, n_clusters=1, where="side = 'r' or side = 'none'")
    assert found.rows["side"].to_pylist() == ["r"] * 3 and found.n_rows == 8
    assert len(cluster(table, where="  ").labels) == 7
    with pytest.raises(FilterError):
        cluster(table, where="surname = 'r'")
    with pytest.raises(StoreError, match=r"^2 rows make no map$") as caught:
        cluster(table, max_points=2)
    assert caught.value.hint == "add more, or a wider filter"


def test_the_same_picture_again_and_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    same = write_table(tmp_path_factory.mktemp("same"), circle(10, 10, 10))
    found = cluster(same, n_clusters=2)
    np.testing.assert_allclose(found.xy, 0, atol=1)
    assert np.isfinite(found.xy).all() and found.labels.min() == 0


def test_umap_where_it_is_installed(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    class Reducer:
        def __init__(self, **how: Any) -> None:
            asked.append(how)

        def fit_transform(self, vectors: np.ndarray) -> np.ndarray:
            return np.float32([[4 * n, n] for n in range(len(vectors))])

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Reducer))
    found = cluster(table, n_clusters=2, layout="umap", seed=5)
    np.testing.assert_allclose(found.xy, [[n / 6, n / 24] for n in range(7)])
    assert found.layout == "umap" and found.xy.dtype == np.float64
    assert asked == [{"metric": "cosine", "random_state": 5, "n_jobs": 1}]
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtra, match=r"^UMAP is not installed$") as caught:
        cluster(table, layout="umap")
    assert caught.value.hint == "pip install umap-learn, or use the layout pca"
