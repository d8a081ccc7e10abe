"""Pairs that are nearly the same, by hand: vectors on a circle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualsight.errors import ConfigError, FilterError, StoreError
from dualsight.store import duplicates as finding
from dualsight.store.duplicates import duplicates
from dualsight.store.search import Approximate
from index_tables import circle, write_table

ONE, TWO, FIVE = (float(np.cos(np.deg2rad(degrees))) for degrees in (1, 2, 5))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three within two degrees, two within five, one alone; and texts that are the same."""
    return write_table(
        tmp_path_factory.mktemp("table"),
        circle(0, 1, 2, 40, 45, 90, 180, 180),
        kind=["image"] * 6 + ["text"] * 2,
        source=list("abcdefgh"),
        side=["l", "l", "r", "l", "r", "l", "l", "l"],
    )


def pairs(found: Any) -> dict[str, float]:
    return {one.first["source"] + one.second["source"]: one.cosine for one in found}


@pytest.fixture(params=["all pairs", "next to each"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways must find the same."""
    if request.param == "next to each":
        monkeypatch.setattr(finding, "ALL_PAIRS", 1)
        monkeypatch.setattr(finding, "_BATCH", 2)
        monkeypatch.setattr(finding, "tuned", lambda table: Approximate(n_lists=1, refine=1))


@pytest.mark.usefixtures("way")
def test_each_pair_once(table: Any) -> None:
    assert pairs(duplicates(table, cosine=0.999)) == pytest.approx({"ab": ONE, "bc": ONE, "ac": TWO}, abs=1e-6)
    near = pairs(duplicates(table, cosine=0.995))
    assert near == pytest.approx({"ab": ONE, "bc": ONE, "ac": TWO, "de": FIVE}, abs=1e-6)
    assert pairs(duplicates(table)).keys() == near.keys()  # 0.99
    assert len(pairs(duplicates(table, cosine=-1))) == 15


@pytest.mark.usefixtures("way")
def test_only_what_the_filter_lets_through(table: Any) -> None:
    assert pairs(duplicates(table, where="side = 'l' or side = 'none'")).keys() == {"ab"}
    assert len(pairs(duplicates(table, where=" "))) == 4
    assert pairs(duplicates(table, where="kind = 'text'")) == {}
    with pytest.raises(FilterError):
        duplicates(table, where="surname = 'l'")


@pytest.mark.usefixtures("way")
def test_a_pair_says_which_rows_it_is_of(table: Any) -> None:
    pair = next(iter(duplicates(table, cosine=0.995, where="source in ('d', 'e')")))
    assert pair.first == {
        "id": f"{3:032x}",
        "kind": "image",
        "source": "d",
        "frame_index": None,
        "n_frames": None,
        "tile_x": None,
        "tile_y": None,
    }
    assert pair.second == pair.first | {"id": f"{4:032x}", "source": "e"}


def test_very_many_rows_need_an_approximate_index(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "ALL_PAIRS", 5)
    with pytest.raises(StoreError, match=r"^more than 5 rows, and no approximate index$") as caught:
        duplicates(table)
    assert caught.value.hint == "`dualsight index optimize`, or a filter"
    assert len(pairs(duplicates(table, where="source != 'f'"))) == 4  # just as many as are compared
    with pytest.raises(ConfigError):
        list(duplicates(table, cosine=1.5, where="source != 'f'"))


def test_a_row_whose_nearest_are_others_is_in_a_pair_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "ALL_PAIRS", 1)
    monkeypatch.setattr(finding, "NEXT_TO", 2)
    monkeypatch.setattr(finding, "tuned", lambda table: Approximate(n_lists=1, refine=1))
    same = write_table(tmp_path, circle(*[10] * 9), source=list("abcdefghi"))
    found = [(one.first["source"], one.second["source"]) for one in duplicates(same)]
    assert {name for pair in found for name in pair} == set("abcdefghi")
    assert len({frozenset(pair) for pair in found}) == len(found) and all(first < second for first, second in found)


@pytest.mark.usefixtures("way")
def test_what_is_no_cosine_is_refused_before_anything_is_searched(table: Any) -> None:
    for cosine in (-1.5, 1.01):
        with pytest.raises(ConfigError):
            duplicates(table, cosine=cosine)
