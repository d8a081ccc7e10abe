from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import dualsight
from dualsight.errors import TextError
from dualsight.interface.page.label_sets import LabelSet, as_kept, built_in, lines, read_saved, with_set
from dualsight.text.prompts import fill

MINE = LabelSet(labels=("mass", "no mass"), templates=("ct {label}",))


def test_lines() -> None:
    assert lines(" a \n\n b\tc\n") == ("a", "b\tc")


@pytest.mark.parametrize("which", ["demo", "official"])
def test_sets_to_begin_with_can_be_asked(which: str, recipe_folder: Callable[[str], Path]) -> None:
    sets = built_in(dualsight.load("demo" if which == "demo" else recipe_folder("davit")))
    assert len(sets) > 5
    for entry in sets.values():
        assert len(fill(entry.templates, entry.labels)) > 1 or which == "official"
    assert ("kind of picture" in sets) == (which == "demo")


def test_what_a_browser_keeps_comes_back() -> None:
    kept = with_set({}, "mine", MINE, taken={})
    assert read_saved(kept) == {"mine": MINE} and as_kept({"mine": MINE}) == kept
    other = LabelSet(labels=("a",))
    assert read_saved(with_set(read_saved(kept), "mine", other, taken={})) == {"mine": other}


@pytest.mark.parametrize("kept", [None, [], "text", {"a": 1}, {"a": {"labels": "x", "templates": []}}, {"a": {}}])
def test_what_is_no_set_is_passed_over(kept: object) -> None:
    assert read_saved(kept) == {}


@pytest.mark.parametrize(
    ("name", "new"),
    [("", MINE), ("taken", MINE), ("b", LabelSet(labels=())), ("b", LabelSet(labels=("a",), templates=("no field",)))],
)
def test_a_set_that_cannot_be_kept(name: str, new: LabelSet) -> None:
    with pytest.raises(TextError):
        with_set({}, name, new, taken={"taken": MINE})
