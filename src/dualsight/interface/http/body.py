"""A request's body, whole and within its limits, before anything parses it; and the end of work that nobody awaits.

receive ──▶ head: size, type, encoding ──▶ bytes, counted, in time ──▶ the application ──▶ send
                                                                         └─ cancelled at its deadline, or when its
                                                                            client leaves
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dualsight.errors import (
    DeadlineExceeded,
    DualsightError,
    MalformedRequest,
    QueueFull,
    RequestTooLarge,
    RequestTooSlow,
    UnsupportedBody,
)
from dualsight.interface.http.errors import refusal
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.metrics import Metrics

_LINGER_S = 2.0  # that a refused body is still taken and thrown away, for its sender to read the answer
JSON = "application/json"
FORM = "multipart/form-data"


class ClientLeft(Exception):
    """The client closed the connection before its request was there: nobody reads an answer."""


class BodyReader:
    """Hands a request on once its body is there; refuses it as soon as it is over a limit."""

    def __init__(self, app: ASGIApp, limits: ServerLimits, metrics: Metrics) -> None:
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._held = 0  # bytes of all bodies in hand

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reserved = 0
        try:
            headers = Headers(scope=scope)
            reserved = self._reserve(_check_head(headers, self._limits))
            body = await self._body(receive, headers)
            await _while_awaited(self._app, scope, body, receive, send, self._limits.deadline_s)
        except ClientLeft:
            pass
        except DualsightError as error:
            await _refuse(error, scope, receive, send)
        finally:
            self._held -= reserved

    def _reserve(self, n_bytes: int) -> int:
        """Takes room for a body; QueueFull if those in hand leave none."""
        if self._held + n_bytes > self._limits.bodies_bytes:
            raise QueueFull("the bodies of the requests in hand leave no room", hint="try again in a moment")
        self._held += n_bytes
        return n_bytes

    async def _body(self, receive: Receive, headers: Headers) -> bytes:
        """The whole body, fit to be parsed."""
        started = time.monotonic()
        body = await self._read(receive)
        if content_type(headers) != FORM:
            _check_json(body, self._limits)
        self._metrics.stage_seconds.labels("receive").observe(time.monotonic() - started)
        return body

    async def _read(self, receive: Receive) -> bytes:
        """The whole body. Raises BodyTooLarge, RequestTooSlow or ClientLeft."""
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_s):
                while (message := await receive())["type"] == "http.request":
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    self._limits.check_body(size)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise RequestTooSlow(f"the body took more than {self._limits.body_s:g} s") from None
        raise ClientLeft


def content_type(headers: Headers) -> str:
    """The media type without its parameters, in small letters; empty where none is said."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_head(headers: Headers, limits: ServerLimits) -> int:
    """How many bytes the body may have. Raises for what need not be read to be refused."""
    if content_type(headers) not in ("", JSON, FORM):
        raise UnsupportedBody("this content type is not taken", hint=f"send {JSON} or {FORM}")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedBody("compressed bodies are not taken", hint="send it without content-encoding")
    if "content-length" not in headers:
        return limits.body_bytes if "transfer-encoding" in headers else 0
    length = headers["content-length"]
    if not re.fullmatch(r"[0-9]{1,19}", length):
        raise MalformedRequest("content-length is no number of bytes")
    limits.check_body(int(length))
    return int(length)


def _check_json(body: bytes, limits: ServerLimits) -> None:
    """Raises RequestTooLarge for JSON of absurdly many values; base64 holds none of the characters counted."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > limits.json_values:
        raise RequestTooLarge(f"JSON of more than {limits.json_values:,} values")


async def _while_awaited(
    app: ASGIApp, scope: Scope, body: bytes, receive: Receive, send: Send, deadline_s: float
) -> None:
    """Runs the application on a whole body; cancels it when the client leaves.

    Raises DeadlineExceeded where no answer has begun in time: what waits in a queue for it leaves the queue.
    """
    has_begun = False

    async def replay() -> Message:
        nonlocal body
        whole, body = body, b""  # freed when the application has parsed it
        return {"type": "http.request", "body": whole, "more_body": False}

    async def begin(message: Message) -> None:
        nonlocal has_begun
        has_begun = True
        await send(message)

    work = asyncio.ensure_future(app(scope, replay, begin))
    left = asyncio.ensure_future(receive())  # after the body, only http.disconnect can come
    try:
        done, _ = await asyncio.wait({work, left}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if not done and has_begun:
            done, _ = await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        if not done and not has_begun:
            raise DeadlineExceeded(
                f"no answer within {deadline_s:g} s", hint="fewer images a request, or a longer --deadline-s"
            )
    finally:
        work.cancel()  # where this itself was cancelled
        left.cancel()


async def _refuse(error: DualsightError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers before the body is there. The rest of it is thrown away for a moment: closing at once would take the
    answer from a client that is still sending."""
    response = refusal(error, scope["path"])
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(0 if isinstance(error, RequestTooSlow) else _LINGER_S):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass
    await send({"type": "http.response.body", "body": b""})
