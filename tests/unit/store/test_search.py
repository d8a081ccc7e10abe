"""The nearest rows, by hand: vectors on a circle, whose cosines are those of the angles between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dualsight.errors import StoreError
from dualsight.store import search as searching
from dualsight.store.check import build
from dualsight.store.search import MAX_HITS, RERANK_REFINE, Approximate, keep_tuned, nearest, search
from index_tables import circle, write_table

NORTH = circle(0)[0]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Rows further and further from NORTH, the last two equally far."""
    return write_table(
        tmp_path_factory.mktemp("table"),
        circle(0, 10, 20, 30, 40, 60, 60),
        kind=["text", "image", "volume", "image", "frame", "image", "image"],
        content_hash=["t", "a", "b", "c", "b", "d", "e"],
        study_instance_uid=[None, "1", "1", "2", None, None, "2"],
        series_instance_uid=[None, "1.1", "1.2", "2.1", None, None, "2.1"],
        modality=[None, "CT", "CT", "MR", "CT", None, "MR"],
    )


def places(hits: Any) -> list[int]:
    return [int(one, 16) for one in hits.column("id")]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),  # without texts
        ({"k": 2}, [1, 2]),
        ({"kind": "volume"}, [2]),
        ({"kind": "volume", "where": "modality = 'CT'"}, [2]),
        ({"kind": "volume", "where": "kind = 'text'"}, [0]),  # the filter's own word counts
        ({"where": "kind in ('text', 'frame')"}, [0, 4]),
        ({"where": "modality = 'MR'"}, [3, 6]),
        ({"where": "modality = 'MR' or modality is null"}, [3, 5, 6]),
        ({"where": "  "}, [1, 2, 3, 4, 5, 6]),
        ({"per": "volume"}, [1, 2, 3, 5, 6]),
        ({"per": "study"}, [1, 3, 4, 5]),
        ({"per": "series"}, [1, 2, 3, 4, 5]),
        ({"per": "modality"}, [1, 3, 5]),
        ({"per": "modality", "k": 2}, [1, 3]),
        ({"per": "modality", "k": 3}, [1, 3, 5]),
    ],
)
def test_which_rows_are_found(table: Any, how: dict[str, Any], expected: list[int]) -> None:
    assert places(search(table, NORTH, **how)) == expected


def test_scores_are_cosines_and_stand_first(table: Any) -> None:
    hits = search(table, NORTH)
    np.testing.assert_allclose(hits.scores, np.cos(np.deg2rad([10, 20, 30, 40, 60, 60])), atol=1e-6)
    assert hits.to_arrow().column_names == ["score", *(name for name in table.schema.names if name != "vector")]
    assert hits.is_exact and hits.n_rows == 7 and len(hits) == 6
    assert search(table, -NORTH, k=1).scores == pytest.approx([-0.5])


def test_as_many_rows_are_asked_for_as_groups_need(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = searching.nearest
    monkeypatch.setattr(searching, "nearest", lambda *args, k, **how: asked.append(k) or real(*args, k=k, **how))  # type: ignore[func-returns-value]
    monkeypatch.setattr(searching, "_MORE", 2)
    search(table, NORTH, per="modality", k=2)
    assert asked == [2, 4]
    asked.clear()
    search(table, NORTH, per="modality", k=4)  # there are but three: all 7 rows are looked at, and no more
    assert asked == [4, 7]
    asked.clear()
    search(table, NORTH, where="modality = 'MR'", per="modality", k=3)  # fewer than asked for: there are no others
    assert asked == [3]


def test_how_many_hits_there_can_be(table: Any) -> None:
    for k in (0, MAX_HITS + 1):
        with pytest.raises(StoreError, match=f"^{k:,} hits cannot be given$") as caught:
            search(table, NORTH, k=k)
        assert caught.value.hint == "from 1 to 10,000"
    assert len(search(table, NORTH, k=MAX_HITS)) == 6


def test_one_hit_of_each_of_what_is_not_there(table: Any) -> None:
    with pytest.raises(StoreError, match=r"^no column surname to have one hit each of$") as caught:
        search(table, NORTH, per="surname")
    assert caught.value.hint.startswith("one of: volume, study, series, body_part, column_spacing_mm")


def test_the_columns_that_are_wanted(table: Any) -> None:
    found = nearest(table, NORTH, k=2, columns=["kind"])
    assert found.column_names == ["score", "id", "kind"]
    assert found["kind"].to_pylist() == ["text", "image"]
    assert found.schema.field("score").type == pa.float32()
    assert nearest(table, NORTH, k=9, condition="`kind` = 'frame'", columns=["id"]).column_names == ["score", "id"]


def test_a_search_that_reranks_looks_further(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Approximate | None] = []
    real = searching.nearest
    monkeypatch.setattr(
        searching,
        "nearest",
        lambda *args, how, **others: asked.append(how) or real(*args, how=None, **others),  # type: ignore[func-returns-value]
    )
    search(table, NORTH, rerank=True)  # every search is exact yet
    monkeypatch.setattr(searching, "tuned", lambda table: Approximate(n_lists=5, refine=10))
    assert not search(table, NORTH).is_exact
    search(table, NORTH, rerank=True)
    assert search(table, NORTH, rerank=True, exact=True).is_exact
    more = Approximate(n_lists=10, refine=RERANK_REFINE)
    assert asked == [None, Approximate(n_lists=5, refine=10), more, None]


def test_rows_that_a_narrow_filter_leaves_are_found_in_other_lists(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, 32), np.float32)
    vectors = centres[rng.integers(40, size=12_000)] + 0.1 * rng.standard_normal((12_000, 32), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    farthest = set(np.argsort(vectors @ vectors[0])[:5].tolist())
    sites = ["far" if place in farthest else "here" for place in range(len(vectors))]
    table = write_table(tmp_path, vectors, site=sites)
    build(table)
    keep_tuned(table, Approximate(n_lists=1, refine=10))
    hits = search(table, vectors[0], where="site = 'far'")
    assert not hits.is_exact and set(places(hits)) == farthest
