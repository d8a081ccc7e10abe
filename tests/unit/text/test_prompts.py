"""Prompts: templates filled with labels, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dualsight.errors import TextError
from dualsight.text.prompts import CHEST_XRAY, PLAIN, fill


def test_prompts_come_by_label_then_by_template() -> None:
    assert fill(["ct {label}", "{label} in a ct"], ["mass", "cyst"]) == [
        ["ct mass", "mass in a ct"],
        ["ct cyst", "cyst in a ct"],
    ]


def test_the_published_prompt() -> None:
    assert fill(CHEST_XRAY, ["Pneumonia"])[0][0] == "x-ray chest anteroposterior Pneumonia"


def test_plain_labels_stay_as_they_are() -> None:
    assert fill(PLAIN, ["chest", "{label} {0} %s"]) == [["chest"], ["{label} {0} %s"]]


@pytest.mark.parametrize(
    ("templates", "labels", "problem"),
    [
        (["x-ray chest"], ["mass"], r"template 'x-ray chest' has no \{label\}"),
        (["{label} of {organ}"], ["mass"], r"unknown \{organ\}"),
        (["{} {label}"], ["mass"], r"unknown \{\}"),
        ([], ["mass"], "no templates"),
        ("{label}", ["mass"], "one template where a list"),
        ([None], ["mass"], "template 0 is a NoneType"),
        (PLAIN, [], "no labels"),
        (PLAIN, "mass", "one label where a list"),
        (PLAIN, ["mass", " "], "label 1 is blank"),
        (PLAIN, ["mass", 3], "label 1 is a int"),
        (PLAIN, ["a", "b", "a"], "'a' comes twice"),
    ],
)
def test_what_cannot_be_filled_is_refused(templates: Sequence[str], labels: Sequence[str], problem: str) -> None:
    with pytest.raises(TextError, match=problem):
        fill(templates, labels)


def test_a_template_without_a_place_says_how() -> None:
    with pytest.raises(TextError) as caught:
        fill(["chest"], ["mass"])
    assert "{label}" in caught.value.hint
