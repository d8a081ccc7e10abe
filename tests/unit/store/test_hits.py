"""Hits as a table, a column and a data frame."""

from __future__ import annotations

import sys

import pyarrow as pa
import pytest

from dualsight.errors import MissingExtra
from dualsight.store.hits import Hits

HITS = Hits(table=pa.table({"score": [0.5, 0.25], "source": ["a", "b"]}), is_exact=True, n_rows=9)


def test_hits_in_every_form() -> None:
    assert len(HITS) == 2 and HITS.scores == [0.5, 0.25] and HITS.column("source") == ["a", "b"]
    assert HITS.to_arrow() is HITS.table
    assert HITS.to_pandas()["source"].tolist() == ["a", "b"]
    with pytest.raises(KeyError):
        HITS.column("path")


def test_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"^pandas is not installed$") as caught:
        HITS.to_pandas()
    assert caught.value.hint == "pip install pandas, or use to_arrow()"
