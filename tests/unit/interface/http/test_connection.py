"""A real socket: who does not send a head in time, or does not take an answer, is shown out; who does is not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from dualsight.interface.http.connection import Connection
from dualsight.interface.http.keys import KeyCheck

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BIG = 8 << 20  # more than the sockets hold, of a client with a narrow one


class Patient(Connection):
    """Waits for heads longer than a busy machine stalls."""

    answer_s = 1.0
    last_s = 0.3


class Hasty(Patient):
    head_s = 0.3


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """`ok`; after longer than a head may take; or much."""
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    body = b"x" * BIG if scope["path"] == "/big" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(most: int | None = None, connection: type[Connection] = Patient) -> AsyncIterator[uvicorn.Server]:
    app = KeyCheck(answer, None, local_only=False)
    config = uvicorn.Config(
        app, port=0, http=connection, lifespan="off", ws="none", log_config=None, limit_concurrency=most
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server
    finally:
        await server.shutdown()


def address(server: uvicorn.Server) -> tuple[str, int]:
    host, port = server.servers[0].sockets[0].getsockname()
    return host, port


async def exchanges(*parts: bytes) -> list[bytes]:
    """What comes back after each of these was sent on one hasty connection, until it ends or `ok`."""
    async with serving(connection=Hasty) as server:
        answers = []
        reader, writer = await asyncio.open_connection(*address(server))
        for part in parts:
            writer.write(part)
            answers.append(await whole(reader))
        writer.close()
    return answers


async def whole(reader: asyncio.StreamReader) -> bytes:
    """An answer, until it ends or `ok`."""
    got = b""
    while not got.endswith(b"ok") and (more := await asyncio.wait_for(reader.read(1 << 16), 5)):
        got += more
    return got


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))  # type: ignore[arg-type] # an async function


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow", 408, "request_too_slow"),
        (b"", 408, "request_too_slow"),
        (b"\x16\x03\x01 no HTTP\r\n\r\n", 400, "malformed_request"),
    ],
)
def test_what_is_no_head_is_refused_in_our_words(sent: bytes, status: int, code: str) -> None:
    (said,) = asyncio.run(exchanges(sent))
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["error"]["code"] == code
    assert f"content-length: {len(body)}".encode() in head.lower()


def test_an_answer_may_take_longer_and_the_next_head_has_its_own_time() -> None:
    slow = ASK.replace(b"/ ", b"/slow ", 1)
    first, second, third = asyncio.run(exchanges(slow, slow, b"GET / HT"))
    assert first.endswith(b"ok") and second.endswith(b"ok")
    assert third.startswith(b"HTTP/1.1 408 ")


def test_who_does_not_take_the_answer_loses_the_connection_and_who_does_gets_all() -> None:
    async def work() -> None:
        async with serving() as server:
            with narrow(server) as deaf:
                deaf.sendall(ASK.replace(b"/ ", b"/big ", 1))
                await until(lambda: buffered(server) > 1 << 20)
                await until(lambda: not server.server_state.connections)
            reader, writer = await asyncio.open_connection(sock=narrow(server))
            writer.write(ASK.replace(b"/ ", b"/big ", 1))
            got = 0
            while got < BIG:  # for longer than `answer_s`, but not without end
                part = await asyncio.wait_for(reader.read(1 << 17), 5)
                assert part, f"the connection ended after {got:,} bytes"
                got += len(part)
                await asyncio.sleep(0.02)
            writer.close()

    run(work)


def narrow(server: uvicorn.Server) -> socket.socket:
    """A connection on which little is under way at a time."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    client.connect(address(server))
    return client


def buffered(server: uvicorn.Server) -> int:
    return sum(connection.transport.get_write_buffer_size() for connection in server.server_state.connections)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.01)


def test_a_request_that_is_on_its_way_when_the_server_ends_is_answered() -> None:
    async def work() -> None:
        async with serving() as server:
            idle, busy, late = [await asyncio.open_connection(*address(server)) for _ in range(3)]
            for _, writer in (idle, late):
                writer.write(ASK)
            for reader, _ in (idle, late):
                assert (await whole(reader)).endswith(b"ok")
            busy[1].write(ASK.replace(b"/ ", b"/slow ", 1))
            await until(lambda: len(server.server_state.tasks) == 1)
            end = asyncio.create_task(server.shutdown())
            await asyncio.sleep(0.1)
            late[1].write(ASK)
            for reader, _ in (busy, late):
                answer = await whole(reader)
                assert answer.endswith(b"ok") and b"\r\nconnection: close\r\n" in answer
            assert await idle[0].read() == b""
            await end
            for _, writer in (idle, busy, late):
                writer.close()

    run(work)


def test_on_one_connection_too_many_is_told_to_come_back() -> None:
    async def work() -> None:
        async with serving(most=2) as server:
            kept = [await asyncio.open_connection(*address(server)) for _ in range(2)]
            await until(lambda: len(server.server_state.connections) == 2)
            reader, writer = await asyncio.open_connection(*address(server))
            writer.write(ASK)
            head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 429 ")
            assert b"\r\nretry-after: 1" in head.lower() and b"\r\nconnection: close" in head.lower()
            assert json.loads(body)["error"]["code"] == "queue_full"
            probe, probing = await asyncio.open_connection(*address(server))
            probing.write(ASK.replace(b"/ ", b"/livez ", 1))
            assert (await whole(probe)).startswith(b"HTTP/1.1 200 ")
            kept[0][1].write(ASK)
            assert (await whole(kept[0][0])).endswith(b"ok")
            for each in (writer, probing, *(writer for _, writer in kept)):
                each.close()

    run(work)
