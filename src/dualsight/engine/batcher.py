"""One queue in which concurrent callers meet: their items are encoded in batches, and each caller gets its own result.

    callers ──admit──▶ places ──item──▶ a queue a caller ──in turn──▶ batch ──encode, in a thread──▶ results
                       (bounded)        (cancelled: leaves)           (a bad item fails alone)

A batch of n items costs about  fixed_s + n · item_s  (measured, see `BatchCost`). From that follow both choices: a
batch is as large as is over quickly, or as makes the fixed cost a small part of it where that is larger; and it waits
at most the fixed cost, only for items that are known to be on their way.

A deadline is the caller's own: `asyncio.timeout` cancels the wait, and what is cancelled leaves the queue.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dualsight.engine.turns import Turns
from dualsight.errors import QueueFull

T = TypeVar("T")
R = TypeVar("R")

_QUICK_S = 1.0  # a batch that is over by then holds nobody up for long
_FIXED_SHARE = 0.05  # of a batch's time; a larger batch would hardly be faster by the item
_MEMORY = 0.8  # of what was measured before, beside a new measurement
_MAX_WAIT_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a batch was: how many items, how long each waited, how long it was computed, and whether it failed."""

    size: int
    waited_s: tuple[float, ...]
    seconds: float
    failed: bool


class BatchCost:
    """Seconds of a batch by its size, as measured: a straight line through the mean of each size."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}  # by size

    def learn(self, size: int, seconds: float) -> None:
        """Takes in a measurement; newer ones count more."""
        old = self._seconds.get(size, seconds)
        self._seconds[size] = _MEMORY * old + (1 - _MEMORY) * seconds

    def line(self) -> tuple[float, float] | None:
        """(fixed_s, item_s), neither below 0; None until two sizes have been measured."""
        n = len(self._seconds)
        if n < 2:
            return None
        mean_size = sum(self._seconds) / n
        mean_s = sum(self._seconds.values()) / n
        spread = sum((size - mean_size) ** 2 for size in self._seconds)
        slope = sum((size - mean_size) * (s - mean_s) for size, s in self._seconds.items()) / spread
        item_s = max(slope, 0.0)
        return max(mean_s - item_s * mean_size, 0.0), item_s

    def best_size(self, limit: int) -> int:
        """From 1 to `limit`: the largest that is quick, or the smallest at which the fixed cost is a small share.

        `limit` while nothing is known.
        """
        line = self.line()
        if line is None or line[1] == 0.0:
            return limit
        fixed_s, item_s = line
        quick = int((_QUICK_S - fixed_s) / item_s)
        efficient = round(fixed_s / item_s / _FIXED_SHARE)
        return min(limit, max(1, quick, efficient))

    def worth_waiting_s(self) -> float:
        """How long a batch may wait for one more item: what not starting another batch for it saves."""
        line = self.line()
        return 0.0 if line is None else min(line[0], _MAX_WAIT_S)


@dataclass(slots=True, eq=False)
class _Entry(Generic[T, R]):
    """An item that waits, and where its result goes."""

    item: T
    result: asyncio.Future[R]
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[T, R]):
    """Items of one kind, from any number of callers of one event loop."""

    def __init__(
        self,
        encode: Callable[[list[T]], Sequence[R]],
        executor: Executor,
        *,
        max_batch: int,
        max_items: int,
        on_batch: Callable[[Batch], None],
    ) -> None:
        """encode: a result for each item, run in `executor`. max_items: how many may be in hand at a time."""
        self.cost = BatchCost()
        self._encode = encode
        self._executor = executor
        self._max_batch = max_batch
        self._max_items = max_items
        self._on_batch = on_batch
        self._admitted: Counter[str] = Counter()  # by client
        self._coming = 0  # of these, what is not yet in the queue
        self._waiting: Turns[_Entry[T, R]] = Turns()
        self._arrived = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    @property
    def n_admitted(self) -> int:
        """Items in hand: on their way here, waiting, or being encoded."""
        return self._admitted.total()

    @contextmanager
    def admit(self, n: int, client: str) -> Generator[Callable[[T], Awaitable[R]], None, None]:
        """Room for `n` items of a client, and the function that encodes one of them; for more, in turn.

        That function raises what `encode` raises for this item alone. Raises QueueFull where there is no room; a
        client never has more than what is left for the others, unless it is by its only request.
        """
        room = self._max_items - self.n_admitted
        own = self._admitted[client]
        if n > room or (own and own + n > room):
            raise QueueFull(
                f"{n} items do not fit: of {self._max_items} at most {self.n_admitted} are in hand, {own} by you",
                hint="try again in a moment",
            )
        self._admitted[client] += n
        self._coming += n
        coming = n

        async def encode(item: T) -> R:
            nonlocal coming
            if coming:
                coming -= 1
                self._coming -= 1
            return await self._result(item, client)

        try:
            yield encode
        finally:
            self._admitted[client] -= n
            if not self._admitted[client]:
                del self._admitted[client]
            self._coming -= coming

    async def drain(self) -> None:
        """Returns when nothing waits and nothing is being encoded."""
        while self._runner is not None and not self._runner.done():
            await asyncio.wait({self._runner})

    async def _result(self, item: T, client: str) -> R:
        entry: _Entry[T, R] = _Entry(item, asyncio.get_running_loop().create_future())
        self._waiting.put(entry, client)
        self._arrived.set()
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        try:
            return await entry.result
        finally:
            self._waiting.discard(entry, client)  # where its caller has been cancelled

    async def _run(self) -> None:
        """Encodes until nothing waits."""
        while self._waiting:
            size = self.cost.best_size(self._max_batch)
            await self._wait_for_company(size)
            batch = [entry for entry in self._waiting.take(size) if not entry.result.cancelled()]
            if batch:  # all may have left meanwhile
                await self._answer(batch)

    async def _wait_for_company(self, size: int) -> None:
        """Waits while items are on their way, the batch has room, and it is worth it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.cost.worth_waiting_s()):
                while self._coming and len(self._waiting) < size:
                    self._arrived.clear()
                    await self._arrived.wait()

    async def _answer(self, batch: Sequence[_Entry[T, R]]) -> None:
        """Gives each entry its result or its own error; raises nothing."""
        items = [entry.item for entry in batch]
        started = time.monotonic()

        def encode() -> Sequence[R]:
            nonlocal started
            started = time.monotonic()  # the executor may have been busy with another queue's
            return self._encode(items)

        error: Exception | None = None
        pairs: list[tuple[_Entry[T, R], R]] = []
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._executor, encode)
            pairs = list(zip(batch, results, strict=True))
        except Exception as problem:  # whatever it is, it answers one of these items: the others, and we, go on
            error = problem
        seconds = time.monotonic() - started
        waited_s = tuple(started - entry.since for entry in batch)
        self._on_batch(Batch(size=len(batch), waited_s=waited_s, seconds=seconds, failed=error is not None))
        if error is None:
            self.cost.learn(len(batch), seconds)
            for entry, result in pairs:
                if not entry.result.done():  # its caller may have left
                    entry.result.set_result(result)
        elif len(batch) > 1:  # find the guilty one, serve the rest
            half = len(batch) // 2
            await self._answer(batch[:half])
            await self._answer(batch[half:])
        elif not batch[0].result.done():
            batch[0].result.set_exception(error)
