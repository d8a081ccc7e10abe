"""Clients take turns: whoever asks for much waits behind himself, and not everybody else behind him."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Turns(Generic[T]):
    """What waits, of any number of clients: taken one of each in turn, of one client in the order in which it came."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, dict[T, None]] = OrderedDict()  # by client, the next one first
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def put(self, entry: T, client: str) -> None:
        """Adds an entry, at the end of its client's."""
        self._waiting.setdefault(client, {})[entry] = None
        self._n += 1

    def discard(self, entry: T, client: str) -> None:
        """Takes an entry out, if it still waits."""
        queue = self._waiting.get(client, {})
        if entry in queue:
            del queue[entry]
            self._n -= 1
            if not queue:
                del self._waiting[client]

    def take(self, n: int) -> list[T]:
        """Up to `n` entries; a client that has more has its next turn after all others."""
        taken: list[T] = []
        while self._waiting and len(taken) < n:
            client, queue = self._waiting.popitem(last=False)
            entry = next(iter(queue))
            del queue[entry]
            if queue:
                self._waiting[client] = queue
            taken.append(entry)
        self._n -= len(taken)
        return taken


class TurnPool:
    """Threads that work for the clients of one event loop, in turn."""

    def __init__(self, n_threads: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(n_threads, name)
        self._free = n_threads
        self._turns: Turns[asyncio.Future[None]] = Turns()

    async def run(self, work: Callable[[], R], client: str) -> R:
        """What `work` returns, or raises. Cancelled before its turn, it is never begun."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._turns.put(turn, client)
        self._grant()
        try:
            await turn
            return await loop.run_in_executor(self._threads, work)
        finally:
            self._turns.discard(turn, client)
            if not turn.cancelled():  # it had its turn
                self._free += 1
            self._grant()

    def close(self) -> None:
        """Ends the threads, once what they have begun is done."""
        self._threads.shutdown(cancel_futures=True)

    def _grant(self) -> None:
        while self._free and self._turns:
            (turn,) = self._turns.take(1)
            if not turn.cancelled():
                self._free -= 1
                turn.set_result(None)
