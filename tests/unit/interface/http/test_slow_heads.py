"""A real socket: who does not send a head in time is shown out, who does is not."""

from __future__ import annotations

import asyncio

import uvicorn
from starlette.types import Receive, Scope, Send

from dualsight.interface.http.slow_heads import TimedHeads


class Hasty(TimedHeads):
    head_s = 0.1


async def slow_answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes longer than a head may."""
    await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def exchanges(*parts: bytes) -> list[bytes]:
    """What comes back after each of these was sent on one connection, until it ends or `ok`."""
    config = uvicorn.Config(slow_answer, port=0, http=Hasty, lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    answers = []
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    for part in parts:
        writer.write(part)
        answer = b""
        while not answer.endswith(b"ok") and (more := await asyncio.wait_for(reader.read(1000), 5)):
            answer += more
        answers.append(answer)
    writer.close()
    await server.shutdown()
    return answers


def test_half_a_head() -> None:
    (answer,) = asyncio.run(exchanges(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow"))
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_no_head_at_all() -> None:
    (answer,) = asyncio.run(exchanges(b""))
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_an_answer_may_take_longer_and_the_next_head_has_its_own_time() -> None:
    whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    first, second, third = asyncio.run(exchanges(whole, whole, b"GET / HT"))
    assert first.endswith(b"ok") and second.endswith(b"ok")
    assert third.startswith(b"HTTP/1.1 408 ")
