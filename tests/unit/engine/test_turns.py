from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualsight.engine.turns import TurnPool, Turns

Entry = tuple[str, int]


@given(st.lists(st.sampled_from("abc")), st.integers(1, 5))
def test_one_of_each_client_in_turn_and_nothing_lost(clients: list[str], n: int) -> None:
    turns: Turns[Entry] = Turns()
    entries = [(client, i) for i, client in enumerate(clients)]
    for entry in entries:
        turns.put(entry, entry[0])
    taken: list[Entry] = []
    while turns:
        taken += turns.take(n)
    assert sorted(taken, key=lambda entry: entry[1]) == entries
    for client in "abc":
        assert [i for who, i in taken if who == client] == sorted(i for who, i in taken if who == client)
    n_of_each = {client: clients.count(client) for client in clients}
    first_round = taken[: len(n_of_each)]
    assert {client for client, _ in first_round} == set(n_of_each)


def test_who_has_left_is_not_taken() -> None:
    turns: Turns[int] = Turns()
    for entry in (1, 2, 3):
        turns.put(entry, "a")
    turns.discard(2, "a")
    turns.discard(2, "a")
    turns.discard(9, "nobody")
    assert len(turns) == 2 and turns.take(9) == [1, 3] and not turns


def run(work: Callable[[TurnPool], Awaitable[Any]], n_threads: int = 1) -> Any:
    async def whole() -> Any:
        pool = TurnPool(n_threads, "test")
        try:
            return await asyncio.wait_for(work(pool), 20)
        finally:
            pool.close()

    return asyncio.run(whole())


class Held:
    """Work that a thread does once it may, noting what is done."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.done: list[str] = []

    def work(self, name: str) -> Callable[[], str]:
        def do() -> str:
            assert self.free.wait(10)
            self.done.append(name)
            return name

        return do


def test_a_client_with_much_to_do_does_not_keep_the_others_waiting() -> None:
    held = Held()

    async def work(pool: TurnPool) -> None:
        greedy = [asyncio.ensure_future(pool.run(held.work(f"greedy {i}"), "greedy")) for i in range(5)]
        await asyncio.sleep(0)
        modest = asyncio.ensure_future(pool.run(held.work("modest"), "modest"))
        await asyncio.sleep(0)
        held.free.set()
        assert await asyncio.gather(*greedy, modest) == [*(f"greedy {i}" for i in range(5)), "modest"]

    run(work)
    assert held.done.index("modest") <= 2


def test_what_is_cancelled_before_its_turn_is_never_begun() -> None:
    held = Held()

    async def work(pool: TurnPool) -> None:
        first, *gone, kept = (asyncio.ensure_future(pool.run(held.work(name), "a")) for name in "12345")
        await asyncio.sleep(0.01)
        held.free.set()
        for task in gone:  # all in one moment, while their turn may come
            task.cancel()
        await asyncio.wait(gone)
        assert [await first, await kept] == ["1", "5"]

    run(work)
    assert held.done == ["1", "5"]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_however_it_ends_its_turn_is_given_back(n_threads: int) -> None:
    def fail() -> None:
        raise ValueError("ours")

    async def work(pool: TurnPool) -> None:
        for _ in range(3 * n_threads):
            with pytest.raises(ValueError, match="ours"):
                await pool.run(fail, "a")
            held = Held()
            late = asyncio.ensure_future(pool.run(held.work("late"), "a"))
            await asyncio.sleep(0.001)  # it has begun
            late.cancel()
            await asyncio.wait({late})
            held.free.set()
        assert await asyncio.gather(*(pool.run(lambda: 1, "b") for _ in range(5))) == [1] * 5

    run(work, n_threads)
