from __future__ import annotations

import json
import logging
import sys

from hypothesis import given
from hypothesis import strategies as st

from dualsight.interface.http.logs import JsonLine


@given(st.text(), st.dictionaries(st.sampled_from(["route", "client"]), st.text()))
def test_a_record_is_one_line_whatever_is_in_it(text: str, fields: dict[str, str]) -> None:
    record = logging.LogRecord("dualsight", logging.INFO, __file__, 1, "%s", (text,), None)
    record.fields = fields
    line = JsonLine().format(record)
    assert line.isascii() and line.isprintable()
    assert json.loads(line)["message"] == text
    assert json.loads(line).items() >= fields.items()


def test_a_traceback_is_in_the_line() -> None:
    try:
        raise ValueError("what")
    except ValueError:
        record = logging.LogRecord("uvicorn", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    line = json.loads(JsonLine().format(record))
    assert "ValueError: what" in line["traceback"] and line["level"] == "error"
