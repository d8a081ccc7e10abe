"""Labels to begin with: prompts in MedImageInsight's order, modality, body part, view, finding (`labels.csv`)."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from dualsight.errors import TextError

Group: TypeAlias = Literal["modality", "body_part", "view"]


def zeroshot_label_examples(
    group: Annotated[Group | None, Field(description="list what there is of these, instead of whole labels")] = None,
    regex: Annotated[str | None, Field(description="keep what this matches anywhere, in any case")] = None,
) -> list[str]:
    """Labels that zeroshot_classify understands well, or the modalities, body parts or views that occur in them.

    A label reads "<modality> <body part> <view> <finding>", for example "x-ray chest anteroposterior Pneumonia".
    Compare like with like: labels of one modality, body part and view, with its "No Finding" among them.
    """
    values = dict.fromkeys(row[group or "text"] for row in _rows())
    return [value for value in _matching(list(values), regex) if value]


def label_groups() -> dict[str, list[str]]:
    """The labels by what they have in common, "modality body_part view"; those of one group can be compared."""
    groups: dict[str, list[str]] = {}
    for row in _rows():
        groups.setdefault(f"{row['modality']} {row['body_part']} {row['view']}".strip(), []).append(row["text"])
    return groups


@cache
def _rows() -> tuple[dict[str, str], ...]:
    text = files("dualsight.interface.mcp").joinpath("labels.csv").read_text("utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def _matching(values: list[str], regex: str | None) -> list[str]:
    """By RE2, which takes no longer for any expression: Python's own can be made to run for ever.

    Raises TextError for what is no expression.
    """
    if regex is None:
        return values
    try:
        chosen = pc.match_substring_regex(pa.array(values), pattern=regex, ignore_case=True)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise TextError("regex is no regular expression", hint=str(error).partition("\n")[0]) from None
    return [value for value, is_chosen in zip(values, chosen.to_pylist(), strict=True) if is_chosen]
