from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from dualsight.engine.ahead import read_ahead


def test_order_is_kept() -> None:
    assert list(read_ahead(range(100), depth=3)) == list(range(100))


def test_an_error_comes_after_the_items_before_it() -> None:
    def stream() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    seen = []
    with pytest.raises(ValueError, match="third"):
        for item in read_ahead(stream(), depth=8):
            seen.append(item)
    assert seen == [1, 2]


def test_no_more_than_depth_is_made_before_it_is_asked_for() -> None:
    made = []

    def stream() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            yield i

    reader = read_ahead(stream(), depth=4)
    assert next(reader) == 0
    time.sleep(0.2)
    assert len(made) <= 1 + 4 + 1  # taken, waiting, and the one that waits for room
    reader.close()  # type: ignore[attr-defined]  # an iterator made by a generator


def test_the_thread_ends_when_the_reader_stops_early() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 0

    reader = read_ahead(endless(), depth=2)
    next(reader)
    reader.close()  # type: ignore[attr-defined]  # an iterator made by a generator
    assert "dualsight-read-ahead" not in {thread.name for thread in threading.enumerate()}


def test_items_are_made_while_the_reader_works() -> None:
    def slow() -> Iterator[int]:
        for i in range(6):
            time.sleep(0.05)
            yield i

    started = time.monotonic()
    for _ in read_ahead(slow(), depth=2):
        time.sleep(0.05)
    assert time.monotonic() - started < 0.55  # 0.6 s one after the other
