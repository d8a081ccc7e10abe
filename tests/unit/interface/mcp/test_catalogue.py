from __future__ import annotations

import csv
import time
from importlib.resources import files

import pytest

from dualsight.errors import TextError
from dualsight.interface.mcp.catalogue import label_groups, zeroshot_label_examples

# The words that MI2's captions begin with.
MODALITIES = {
    "x-ray",
    "ct",
    "mri",
    "ultrasound",
    "mammography",
    "dermatology",
    "retinal fundus",
    "oct",
    "histopathology",
    "endoscopy",
}

with files("dualsight.interface.mcp").joinpath("labels.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))


def test_rows_are_prompts_of_their_own_columns() -> None:
    assert len(ROWS) > 150
    assert len({row["text"].casefold() for row in ROWS}) == len(ROWS)
    for row in ROWS:
        head = " ".join(filter(None, (row["modality"], row["body_part"], row["view"])))
        assert row["text"].startswith(head + " ") and row["text"] == row["text"].strip()
        finding = row["text"].removeprefix(head + " ")
        assert finding[0].isupper()
        assert row["modality"] in MODALITIES


def test_without_arguments_all_labels_come() -> None:
    assert zeroshot_label_examples() == [row["text"] for row in ROWS]


def test_a_group_is_what_there_is_of_it_once() -> None:
    assert zeroshot_label_examples("modality")[:3] == ["x-ray", "ct", "mri"]
    assert set(zeroshot_label_examples("body_part")) == {row["body_part"] for row in ROWS}
    assert "" not in zeroshot_label_examples("view")


def test_an_expression_is_searched_in_any_case() -> None:
    found = zeroshot_label_examples(regex="pneumo(nia|thorax)$")
    assert "x-ray chest anteroposterior Pneumonia" in found and "ct chest axial Pneumothorax" in found
    assert zeroshot_label_examples("view", "^AXIAL") == ["axial", "axial t1", "axial t2", "axial flair", "axial dwi"]
    assert zeroshot_label_examples(regex="no such finding") == []


@pytest.mark.parametrize("regex", ["(", "a{99999}", "(?=a)", "\\", "\ud800"])
def test_what_is_no_expression_is_said(regex: str) -> None:
    with pytest.raises(TextError, match="no regular expression") as caught:
        zeroshot_label_examples(regex=regex)
    assert caught.value.hint


def test_no_expression_takes_for_ever() -> None:
    started = time.monotonic()
    assert zeroshot_label_examples(regex="([a-z ]+)+[0-9]$") == []
    assert time.monotonic() - started < 10


def test_groups_hold_every_label_once_beside_what_it_can_be_compared_with() -> None:
    groups = label_groups()
    assert sorted(label for labels in groups.values() for label in labels) == sorted(row["text"] for row in ROWS)
    assert "x-ray chest anteroposterior Pneumonia" in groups["x-ray chest anteroposterior"]
    assert all(len(labels) > 1 for labels in groups.values())
