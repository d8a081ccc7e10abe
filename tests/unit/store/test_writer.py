"""Commits: each row once, whoever adds it; and what is taken out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dualsight.errors import StoreError
from dualsight.store import lance, writer
from dualsight.store.rows import Row
from dualsight.store.schema import FIELDS, VECTOR, About
from dualsight.store.writer import Writer

ABOUT = About(model="m", fingerprint="f", dimensions=2)


@pytest.fixture(autouse=True)
def few_ids_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_IDS_AT_A_TIME", 2)


def row(number: int, settings: str = "{}", **values: Any) -> Row:
    known = {"id": f"{number:032x}", "kind": "image", "content_hash": f"c{number}", "settings": settings}
    return Row(vector=np.array([number, 1], np.float32), values=known | values)


def held(folder: Path) -> list[int]:
    return sorted(int(one, 16) for one in lance.read_columns(lance.open_table(folder), ["id"])["id"].to_pylist())


def test_a_row_is_there_once(tmp_path: Path) -> None:
    first, second = Writer(tmp_path, ABOUT, {}), Writer(tmp_path, ABOUT, {})
    first.commit([row(n) for n in (1, 2, 3, 4, 5)])
    second.commit([row(n) for n in (5, 4, 6, 3, 7, 6)])
    assert held(tmp_path) == [1, 2, 3, 4, 5, 6, 7]
    version = lance.open_table(tmp_path).version
    first.commit([])
    first.commit([row(7), row(1)])
    assert lance.open_table(tmp_path).version == version


def test_what_is_known_with_the_same_settings(tmp_path: Path) -> None:
    made = Writer(tmp_path, ABOUT, {})
    made.commit([row(1), row(2, "it's"), row(3, content_hash="c1"), row(4)])
    assert made.known("{}") == {"c1", "c4"}
    assert made.known("it's") == {"c2"}
    assert made.known("others") == set()


def test_what_is_seen_no_more_is_taken_out(tmp_path: Path) -> None:
    made = Writer(tmp_path, ABOUT, {})
    made.commit([*(row(n) for n in range(1, 7)), row(8, "it's")])
    assert made.prune("{}", {"c2"}) == 5
    assert held(tmp_path) == [2, 8]
    assert made.prune("it's", set()) == 1
    assert held(tmp_path) == [2]
    assert made.prune("{}", {"c2"}) == 0


def test_columns_come_when_they_are_first_brought(tmp_path: Path) -> None:
    Writer(tmp_path, ABOUT, {"age": pa.int64(), "view": pa.string()})
    assert lance.open_table(tmp_path).schema.names == ["id", VECTOR, *list(FIELDS)[1:], "age"]
    made = Writer(tmp_path, ABOUT, {"side": pa.string(), "age": pa.int64(), "view": pa.string()})
    made.commit([row(1, age=70, side="left")])
    table = lance.open_table(tmp_path)
    assert table.schema.names == ["id", VECTOR, *list(FIELDS)[1:], "age", "side"]
    assert table.schema.field("side").type == pa.string()
    assert lance.read_columns(table, ["age", "side"]).to_pylist() == [{"age": 70, "side": "left"}]
    with pytest.raises(StoreError, match="column age of a manifest holds texts"):
        Writer(tmp_path, ABOUT, {"age": pa.string()})
    with pytest.raises(StoreError, match="cannot be one of an index"):
        Writer(tmp_path / "other", ABOUT, {"the age": pa.string()})
