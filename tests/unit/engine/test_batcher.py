from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.engine.batcher import Batch, BatchCost, Batcher
from dualsight.errors import QueueFull, TextError


class Double:
    """An engine that doubles numbers, refuses negative ones, and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.reports: list[Batch] = []
        self.free = threading.Event()
        self.free.set()
        self.started = threading.Event()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.started.set()
        assert self.free.wait(10)
        if min(items) < 0:
            raise TextError(f"{min(items)} is negative")
        return [2 * item for item in items]


@pytest.fixture
def double() -> Double:
    return Double()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def batcher(double: Double, executor: ThreadPoolExecutor, **options: int) -> Batcher[int, int]:
    limits = {"max_batch": 8, "max_items": 100} | options
    return Batcher(double, executor, on_batch=double.reports.append, **limits)


async def one(queue: Batcher[int, int], item: int, client: str = "a") -> int:
    with queue.admit(1, client) as encode:
        return await encode(item)


async def held(double: Double, queue: Batcher[int, int]) -> asyncio.Task[int]:
    """A first item that is being encoded, so that all others wait."""
    double.free.clear()
    first = asyncio.create_task(one(queue, 0))
    await asyncio.to_thread(double.started.wait, 10)
    return first


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))  # type: ignore[arg-type] # an async function


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.integers(-3, 50), max_size=40), clients=st.integers(1, 5), max_batch=st.integers(1, 9))
def test_each_caller_gets_its_own_result_or_error(items: list[int], clients: int, max_batch: int) -> None:
    async def work() -> None:
        double = Double()
        with ThreadPoolExecutor(1) as executor:
            queue = batcher(double, executor, max_batch=max_batch)
            calls = (one(queue, item, str(i % clients)) for i, item in enumerate(items))
            results = await asyncio.gather(*calls, return_exceptions=True)
        for item, result in zip(items, results, strict=True):
            if item < 0:
                assert str(result) == f"{item} is negative"
            else:
                assert result == 2 * item
        assert max(map(len, double.batches), default=0) <= max_batch
        assert queue.n_admitted == 0

    run(work)


def test_those_who_wait_share_a_batch(double: Double, executor: ThreadPoolExecutor) -> None:
    async def work() -> None:
        queue = batcher(double, executor)
        first = await held(double, queue)
        others = [asyncio.create_task(one(queue, i)) for i in range(1, 6)]
        await asyncio.sleep(0)
        double.free.set()
        assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8, 10]
        assert double.batches == [[0], [1, 2, 3, 4, 5]]
        assert [report.size for report in double.reports] == [1, 5]
        assert min(double.reports[1].waited_s) >= 0

    run(work)


def test_a_client_of_many_items_does_not_keep_the_others_waiting(double: Double, executor: ThreadPoolExecutor) -> None:
    async def work() -> None:
        queue = batcher(double, executor, max_batch=4)
        first = await held(double, queue)
        greedy = [asyncio.create_task(one(queue, i, "greedy")) for i in range(1, 9)]
        await asyncio.sleep(0)
        modest = [asyncio.create_task(one(queue, 100 + i, f"modest {i}")) for i in range(2)]
        await asyncio.sleep(0)
        double.free.set()
        await asyncio.gather(first, *greedy, *modest)
        assert double.batches[1] == [1, 100, 101, 2]

    run(work)


def test_a_cancelled_item_leaves_the_queue_and_gives_its_room(double: Double, executor: ThreadPoolExecutor) -> None:
    async def work() -> None:
        queue = batcher(double, executor, max_items=5)
        first = await held(double, queue)
        gone, kept = (asyncio.create_task(one(queue, i)) for i in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait({gone})
        assert queue.n_admitted == 2
        double.free.set()
        assert await asyncio.gather(first, kept) == [0, 4]
        assert double.batches == [[0], [2]]

    run(work)


def test_a_deadline_is_the_callers(double: Double, executor: ThreadPoolExecutor) -> None:
    async def work() -> None:
        queue = batcher(double, executor)
        first = await held(double, queue)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await one(queue, 1)
        double.free.set()
        await first
        assert double.batches == [[0]]

    run(work)


def test_more_than_there_is_room_for_is_refused_whole(double: Double, executor: ThreadPoolExecutor) -> None:
    async def work() -> None:
        queue = batcher(double, executor, max_items=4)
        with queue.admit(3, "a"):
            with pytest.raises(QueueFull, match="of 4 at most 3 are in hand, 0 by you"), queue.admit(2, "b"):
                pass
            assert queue.n_admitted == 3
            with queue.admit(1, "b") as encode:
                assert await encode(5) == 10
        assert queue.n_admitted == 0

    run(work)


def test_no_client_takes_the_last_room_from_the_others(double: Double, executor: ThreadPoolExecutor) -> None:
    async def work() -> None:
        queue = batcher(double, executor, max_items=8)
        with queue.admit(8, "alone"):  # one request may have all there is
            pass
        with queue.admit(3, "greedy"), queue.admit(1, "greedy"):
            with pytest.raises(QueueFull, match="4 by you"), queue.admit(1, "greedy"):
                pass
            with queue.admit(4, "modest"):
                pass
        with queue.admit(1, "greedy"):
            pass

    run(work)


def test_a_busy_executor_does_not_count_as_the_cost_of_a_batch(double: Double, executor: ThreadPoolExecutor) -> None:
    async def work() -> None:
        queue = batcher(double, executor)
        busy = threading.Event()
        executor.submit(busy.wait, 10)  # another queue's batch
        waiting = asyncio.create_task(one(queue, 1))
        await asyncio.sleep(0.5)
        busy.set()
        assert await waiting == 2
        assert double.reports[0].seconds < 0.1 < 0.4 < double.reports[0].waited_s[0]

    run(work)


def test_a_result_too_few_is_nobodys_result(executor: ThreadPoolExecutor) -> None:
    async def work() -> None:
        queue: Batcher[int, int] = Batcher(
            lambda items: items[1:], executor, max_batch=4, max_items=9, on_batch=lambda _: None
        )
        answers = await asyncio.gather(*(one(queue, i) for i in range(3)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ValueError] * 3

    run(work)


def test_drain_waits_for_all(double: Double, executor: ThreadPoolExecutor) -> None:
    async def work() -> None:
        queue = batcher(double, executor)
        await queue.drain()  # nothing there
        first = await held(double, queue)
        drained = asyncio.create_task(queue.drain())
        await asyncio.sleep(0)
        assert not drained.done()
        double.free.set()
        await drained
        await first

    run(work)


def test_a_batch_waits_for_what_is_on_its_way_only(double: Double, executor: ThreadPoolExecutor) -> None:
    async def work() -> None:
        queue = batcher(double, executor)
        for size in (1, 8):
            queue.cost.learn(size, 10.0 + size)  # as if a batch cost ten seconds: worth waiting the most there is
        assert queue.cost.worth_waiting_s() > 0
        with queue.admit(2, "a") as encode:
            first = asyncio.ensure_future(encode(1))
            await asyncio.sleep(0)
            second = asyncio.ensure_future(encode(2))
            await asyncio.gather(first, second)
        await one(queue, 3)  # nothing else is on its way: alone, at once
        assert double.batches == [[1, 2], [3]]
        assert double.reports[1].waited_s[0] < 0.04

    run(work)


@given(
    fixed_ms=st.floats(0, 100), item_ms=st.floats(0.1, 100), sizes=st.sets(st.integers(1, 64), min_size=2, max_size=8)
)
def test_the_cost_of_a_batch_is_learnt(fixed_ms: float, item_ms: float, sizes: set[int]) -> None:
    cost = BatchCost()
    for size in sizes:
        cost.learn(size, fixed_ms + size * item_ms)
    line = cost.line()
    assert line == (pytest.approx(fixed_ms, abs=1e-6), pytest.approx(item_ms, abs=1e-6))
    best = cost.best_size(64)
    is_quick = fixed_ms + best * item_ms <= 1000 < fixed_ms + (best + 1) * item_ms
    is_efficient = fixed_ms <= 0.06 * item_ms * (best + 1)
    assert 1 <= best <= 64
    assert best in (1, 64) or is_quick or is_efficient
    assert best == 64 or is_efficient


def test_nothing_is_known_of_a_batch_at_first() -> None:
    cost = BatchCost()
    assert cost.best_size(32) == 32 and cost.worth_waiting_s() == 0.0
    cost.learn(1, 0.1)
    assert cost.line() is None
    cost.learn(4, 0.1)  # as long as one: an accelerator that is not full
    assert cost.line() == (pytest.approx(0.1), 0.0) and cost.best_size(32) == 32
    cost.learn(8, 0.8)
    assert cost.best_size(32) == 9  # fixed below 0: as many as are quick


def test_a_measurement_that_was_disturbed_makes_no_small_batches() -> None:
    cost = BatchCost()
    for size, seconds in ((1, 0.03), (4, 0.02), (1, 0.03), (2, 0.05)):  # another program had the cores at times
        cost.learn(size, seconds)
    assert cost.best_size(32) >= 8
