from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualsight.engine import ahead as ahead_module
from dualsight.engine.ahead import Stopwatch, work_ahead

LONG_S = 20.0  # for what comes at once unless something is broken
SOON_S = 0.2  # in which what must not happen would

Work = Callable[[int], Iterable[int]]


def worker(work: Work) -> Callable[[], AbstractContextManager[Work]]:
    return lambda: nullcontext(work)


def itself(item: int) -> list[int]:
    return [item]


def threads_left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("dualsight-ahead")]


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 5), st.integers(1, 6))
def test_order_is_kept_whatever_each_item_gives(counts: list[int], threads: int, depth: int) -> None:
    def numbered(item: int) -> Iterator[int]:
        yield from (100 * item + k for k in range(counts[item]))

    stream = (i for i in range(len(counts)))  # a generator complains when two threads advance it at once
    found = list(work_ahead(stream, worker(numbered), threads=threads, depth=depth))
    assert found == [100 * i + k for i, count in enumerate(counts) for k in range(count)]


def test_items_are_worked_on_at_the_same_time() -> None:
    meet = threading.Barrier(3)

    def together(item: int) -> list[int]:
        meet.wait(LONG_S)
        return [item]

    assert list(work_ahead(range(6), worker(together), threads=3, depth=8)) == list(range(6))


def test_work_goes_on_while_the_reader_is_busy() -> None:
    third = threading.Event()

    def work(item: int) -> list[int]:
        if item == 2:
            third.set()
        return [item]

    results = work_ahead(range(3), worker(work), threads=1, depth=4)
    assert next(results) == 0
    assert third.wait(LONG_S)
    assert list(results) == [1, 2]


def test_the_stream_is_not_advanced_far_ahead_of_the_reader() -> None:
    taken: list[int] = []
    enough, too_many = threading.Event(), threading.Event()

    def stream() -> Iterator[int]:
        for i in range(50):
            taken.append(i)
            if len(taken) == 4:
                enough.set()
            if len(taken) > 4:
                too_many.set()
            yield i

    results = work_ahead(stream(), worker(itself), threads=3, depth=4)
    assert next(results) == 0
    assert enough.wait(LONG_S)
    assert not too_many.wait(SOON_S)
    assert list(results) == list(range(1, 50))


def test_an_item_of_endless_results_waits_for_its_reader() -> None:
    made = [0, 0]
    full, too_many = threading.Event(), threading.Event()

    def endless(item: int) -> Iterator[int]:
        while True:
            made[item] += 1
            if sum(made) > 4:
                full.set()
            if sum(made) > 1 + 5 + 2:  # read, waiting, and one more in each thread's hands
                too_many.set()
            yield item

    results = work_ahead(range(2), worker(endless), threads=2, depth=4)
    assert next(results) == 0
    assert full.wait(LONG_S)
    assert not too_many.wait(SOON_S)
    assert [next(results) for _ in range(100)] == [0] * 100
    results.close()


def test_what_is_read_goes_on_where_later_results_fill_the_room() -> None:
    filled = threading.Event()

    def work(item: int) -> Iterator[int]:
        if item == 0:
            assert filled.wait(LONG_S)
            yield from (0, 0, 0)
            return
        yield item
        yield item
        filled.set()  # the room for two is taken
        yield item

    assert list(work_ahead(range(2), worker(work), threads=2, depth=2)) == [0, 0, 0, 1, 1, 1]


def test_an_error_of_the_stream_comes_after_the_items_before_it() -> None:
    def stream() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    seen = []
    with pytest.raises(ValueError, match="third"):
        for item in work_ahead(stream(), worker(itself), threads=3, depth=8):
            seen.append(item)
    assert seen == [1, 2]
    assert threads_left() == []


def test_an_error_of_a_worker_comes_in_its_place() -> None:
    def work(item: int) -> Iterator[int]:
        yield item
        if item == 3:
            raise KeyError(item)

    seen = []
    with pytest.raises(KeyError):
        for item in work_ahead(range(9), worker(work), threads=3, depth=8):
            seen.append(item)
    assert seen == [0, 1, 2, 3]


def test_a_worker_that_cannot_be_opened_is_told() -> None:
    @contextmanager
    def broken() -> Iterator[Work]:
        raise OSError("no worker")
        yield itself

    with pytest.raises(OSError, match="no worker"):
        list(work_ahead(range(9), broken, threads=3, depth=8))


def test_each_thread_opens_and_closes_a_worker() -> None:
    opened, closed = [], []

    @contextmanager
    def counted() -> Iterator[Work]:
        opened.append(threading.get_ident())
        yield itself
        closed.append(threading.get_ident())

    assert list(work_ahead(range(20), counted, threads=3, depth=8)) == list(range(20))
    assert 1 <= len(opened) <= 3
    assert sorted(opened) == sorted(closed)


def test_the_threads_end_when_the_reader_stops_early() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 0

    results = work_ahead(endless(), worker(itself), threads=4, depth=8)
    next(results)
    assert threads_left()
    results.close()
    assert threads_left() == []


def test_what_threads_wait_for_is_interrupted_when_the_reader_stops_early() -> None:
    wanted = threading.Event()

    def waiting(item: int) -> list[int]:
        if item:
            wanted.wait(LONG_S)
        return [item]

    results = work_ahead(range(3), worker(waiting), threads=2, depth=4, interrupt=wanted.set)
    assert next(results) == 0
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < LONG_S / 4
    assert not threads_left()


def test_a_thread_that_is_stuck_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "LEAVE_S", SOON_S)
    wanted = threading.Event()

    def stuck(item: int) -> list[int]:
        if item:
            wanted.wait(LONG_S)
        return [item]

    results = work_ahead(range(3), worker(stuck), threads=2, depth=4)
    assert next(results) == 0
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < LONG_S / 4
    wanted.set()
    for thread in threading.enumerate():
        if thread.name in threads_left():
            thread.join(LONG_S)


def test_nothing_is_started_before_it_is_asked_for() -> None:
    work_ahead(iter([]), worker(itself), threads=2, depth=2)
    assert threads_left() == []


def test_a_short_stream_needs_few_threads() -> None:
    seen = set()

    def work(item: int) -> list[int]:
        seen.update(threads_left())
        return [item]

    assert list(work_ahead([1], worker(work), threads=64, depth=64)) == [1]
    assert len(seen) <= 2


def test_a_system_that_gives_no_second_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def only_the_first(thread: threading.Thread) -> None:
        if thread.name == "dualsight-ahead-1":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", only_the_first)
    assert list(work_ahead(range(9), worker(itself), threads=4, depth=4)) == list(range(9))


def test_a_stopwatch_counts_the_reader_s_waiting() -> None:
    waited = Stopwatch()
    event = threading.Event()

    def slow() -> Iterator[int]:
        event.wait(0.02)
        yield 1
        event.wait(0.02)

    assert list(waited.timed(slow())) == [1]
    assert 0.04 <= waited.seconds < LONG_S
