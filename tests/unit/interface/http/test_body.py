"""The body reader by itself: what it lets through, what it holds, what becomes of work that nobody awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from dualsight.interface.http.body import BodyReader
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.metrics import Metrics

LIMITS = ServerLimits(body_bytes=1000, bodies_bytes=2500, body_s=30.0, json_values=100)


@dataclass
class Exchange:
    """A client that sends these parts, and then leaves or stays silent."""

    parts: list[bytes]
    leaves: bool = False
    sent: list[Message] = field(default_factory=list)

    async def receive(self) -> Message:
        if self.parts:
            body = self.parts.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self.parts) or body == b"..."}
        if not self.leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None


def scope(**headers: str) -> Scope:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "path": "/v1/embed", "method": "POST", "headers": pairs}


def reader(app: Callable[[Scope, Receive, Send], Awaitable[None]], limits: ServerLimits = LIMITS) -> BodyReader:
    return BodyReader(app, limits, Metrics())


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def run(work: Awaitable[Any]) -> Any:
    async def whole() -> Any:
        return await asyncio.wait_for(work, 10)

    return asyncio.run(whole())


def ask(exchange: Exchange, limits: ServerLimits = LIMITS, **headers: str) -> Exchange:
    run(reader(echo, limits)(scope(**headers), exchange.receive, exchange.send))
    return exchange


def test_a_body_in_parts_arrives_whole() -> None:
    exchange = ask(Exchange([b"ab", b"cd"]), content_type="application/json", content_length="4")
    assert exchange.status == 200 and exchange.sent[1]["body"] == b"abcd"


@pytest.mark.parametrize(
    ("parts", "headers", "status"),
    [
        ([], {"content_length": "1001"}, 413),
        ([], {"content_length": "9" * 5000}, 400),
        ([], {"content_length": "-1"}, 400),
        ([], {"content_length": "²"}, 400),
        ([b"x" * 600, b"x" * 600], {"transfer_encoding": "chunked"}, 413),
        ([b"[", b"," * 120], {"content_type": "application/json"}, 413),
        ([b"{}"], {"content_encoding": "gzip"}, 415),
        ([b"{}"], {"content_encoding": "identity, br"}, 415),
        ([b"{}"], {"content_type": "text/plain"}, 415),
    ],
)
def test_what_is_over_a_limit_is_refused(parts: list[bytes], headers: dict[str, str], status: int) -> None:
    exchange = ask(Exchange(parts, leaves=True), **headers)
    assert exchange.status == status
    assert exchange.sent[-1].get("more_body", False) is False


def test_who_stops_sending_is_not_waited_for() -> None:
    exchange = ask(Exchange([b"..."]), replace(LIMITS, body_s=0.05), content_type="application/json")
    assert exchange.status == 408
    assert exchange.sent[-1].get("more_body", False) is False


@pytest.mark.parametrize("kind", ["multipart/form-data", "Multipart/Form-Data "])
def test_a_form_holds_any_bytes(kind: str) -> None:
    assert ask(Exchange([b"," * 120]), content_type=f"{kind}; boundary=x").status == 200


def test_all_bodies_together_have_a_limit() -> None:
    async def work() -> None:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def hold(scope: Scope, receive: Receive, send: Send) -> None:
            entered.set()
            await leave.wait()
            await echo(scope, receive, send)

        door = reader(hold)
        first, second, third = Exchange([b"{}"]), Exchange([b"{}"], leaves=True), Exchange([b"{}"])
        held = asyncio.create_task(door(scope(content_length="1000"), first.receive, first.send))
        also = asyncio.create_task(door(scope(content_length="1000"), Exchange([b"{}"]).receive, first.send))
        await entered.wait()
        await door(scope(content_length="1000"), second.receive, second.send)
        assert second.status == 429
        leave.set()
        await asyncio.gather(held, also)
        await door(scope(content_length="1000"), third.receive, third.send)  # room again
        assert third.status == 200

    run(work())


def test_work_of_a_client_that_left_is_cancelled() -> None:
    cancelled = []

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    exchange = Exchange([b"{}"], leaves=True)
    run(reader(endless)(scope(), exchange.receive, exchange.send))
    assert cancelled == [True] and not exchange.sent


def test_who_leaves_while_sending_is_not_answered() -> None:
    exchange = Exchange([b"..."], leaves=True)
    assert ask(exchange, content_length="999").sent == []


def test_a_mistake_in_the_application_is_raised() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        exchange = Exchange([b"{}"])
        run(reader(broken)(scope(), exchange.receive, exchange.send))


def test_after_the_deadline_work_is_cancelled_and_the_client_told() -> None:
    cancelled = []

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    exchange = Exchange([b"{}"])
    hasty = reader(endless, replace(LIMITS, deadline_s=0.05))
    run(hasty(scope(), exchange.receive, exchange.send))
    assert cancelled == [True] and exchange.status == 504
    assert b"no answer within 0.05 s" in exchange.sent[1]["body"]


def test_an_answer_that_has_begun_is_not_cut_off() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.6)
        await send({"type": "http.response.body", "body": b"whole"})

    exchange = Exchange([b"{}"])
    hasty = reader(slow, replace(LIMITS, deadline_s=0.3))
    run(hasty(scope(), exchange.receive, exchange.send))
    assert exchange.status == 200 and exchange.sent[1:] == [{"type": "http.response.body", "body": b"whole"}]
