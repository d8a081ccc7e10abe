"""Filters: what they mean, and that nothing but what they mean reaches the table."""

from __future__ import annotations

from pathlib import Path

import lancedb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.errors import FilterError
from dualsight.store.filter_tree import And, Compare, In, IsNull, Like, Not, Or, names, render
from dualsight.store.filters import MAX_DEPTH, parse

COLUMNS = {"modality": "text", "age": "integer", "spacing": "number", "contrast": "truth", "Patient": "text"}
NAMES = ["a", "o'x", "a' or 1=1 --", "%", "\\", '"', "`modality`", ""]
ROWS = pa.table(
    {
        "modality": ["CT", "MR", None, "CT"] * 2,
        "age": [50, 70, 80, None] * 2,
        "spacing": [0.5, 1.0, None, 2.0] * 2,
        "contrast": [True, False, None, True] * 2,
        "Patient": NAMES,
    }
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> lancedb.table.Table:
    return lancedb.connect(tmp_path_factory.mktemp("filters")).create_table("rows", ROWS)


def found(table: lancedb.table.Table, expression: str) -> list[str]:
    condition = render(parse(expression, COLUMNS))
    return table.search().where(condition).limit(None).to_arrow()["Patient"].to_pylist()


def test_tree() -> None:
    tree = parse("modality = 'CT' and (age > 60 or not contrast = true)", COLUMNS)
    assert tree == And(
        parts=(
            Compare(column="modality", operator="=", value="CT"),
            Or(
                parts=(
                    Compare(column="age", operator=">", value=60),
                    Not(part=Compare(column="contrast", operator="=", value=True)),
                )
            ),
        )
    )
    assert names(tree) == {"modality", "age", "contrast"}


def test_other_comparisons() -> None:
    assert parse("age in (1, -2)", COLUMNS) == In(column="age", values=(1, -2))
    assert parse("Patient LIKE 'a%'", COLUMNS) == Like(column="Patient", pattern="a%")
    assert parse("age Is Not Null", COLUMNS) == Not(part=IsNull(column="age"))
    assert parse("modality not in ('it''s')", COLUMNS) == Not(part=In(column="modality", values=("it's",)))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("modality = 'CT'", [0, 3, 4, 7]),
        ("modality != 'CT'", [1, 5]),
        ("age >= 70", [1, 2, 5, 6]),
        ("spacing < 1", [0, 4]),
        ("spacing in (1, 2.0)", [1, 3, 5, 7]),
        ("contrast = false", [1, 5]),
        ("modality is null or age is null", [2, 3, 6, 7]),
        ("not (modality = 'CT') and age > 60", [1, 5]),
        ("Patient like 'o%'", [1]),
        ("modality not like 'C_'", [1, 5]),
        ("age > 60 and modality = 'MR' or contrast = true", [0, 1, 3, 4, 5, 7]),
    ],
)
def test_meaning(table: lancedb.table.Table, expression: str, expected: list[int]) -> None:
    assert found(table, expression) == [NAMES[place] for place in expected]


@pytest.mark.parametrize(
    ("expression", "position"),
    [
        ("", 0),
        ("modality", 8),
        ("modality =", 10),
        ("modality = CT", 11),
        ('modality = "CT"', 11),
        ("modality = 'CT", 11),
        ("modality = 'CT'; drop table rows", 15),
        ("modality = 'CT' -- and", 16),
        ("modality = 'CT' /* */", 16),
        ("modality = 'CT' union select 1", 16),
        ("1 = 1", 0),
        ("age = age", 6),
        ("age > '60'", 6),
        ("age > 60.5", 6),
        ("age > 99999999999999999999", 6),
        ("spacing > 1e999", 10),
        ("spacing > nan", 10),
        ("nothing = 'x'", 0),
        ("modality = 5", 11),
        ("contrast > true", 9),
        ("age like '6%'", 4),
        ("lower(modality) = 'ct'", 0),
        ("modality = lower('CT')", 11),
        ("`modality` = 'CT'", 0),
        ("modality in ()", 13),
        ("modality in (select 1)", 13),
        ("(modality = 'CT'", 16),
        ("not", 3),
        ("modality = 'CT' or", 18),
        ("modality is 'CT'", 12),
        ("modality = 'CT')", 15),
    ],
)
def test_rejected_with_its_place(expression: str, position: int) -> None:
    with pytest.raises(FilterError) as caught:
        parse(expression, COLUMNS)
    assert caught.value.position == position


def test_depth_and_length_have_limits() -> None:
    assert parse("(" * (MAX_DEPTH - 1) + "age = 1" + ")" * (MAX_DEPTH - 1), COLUMNS)
    for expression in ("(" * 5_000 + "age = 1", "not " * 5_000 + "age = 1", "age = 1 or " * 5_000 + "age = 1"):
        with pytest.raises(FilterError):
            parse(expression, COLUMNS)


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.text(max_size=30), st.sampled_from(NAMES)))
def test_a_text_is_only_a_text(table: lancedb.table.Table, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    escaped = text.replace("'", "''")
    assert found(table, f"Patient = '{escaped}'") == [name for name in NAMES if name == text]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["modality", "age", "=", "'", "''", "(", ")", "and", "or", "not", "in", "like", "1", ";"]))
)
def test_any_words_are_a_filter_or_refused(words: list[str]) -> None:
    try:
        tree = parse(" ".join(words), COLUMNS)
    except FilterError:
        return
    assert names(tree) <= set(COLUMNS)


def test_a_file(tmp_path: Path) -> None:
    with pytest.raises(FilterError, match="character 1: no column path"):
        parse(f"path = '{tmp_path}'", COLUMNS)
