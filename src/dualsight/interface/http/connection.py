"""uvicorn's HTTP/1.1 protocol, for clients that are slow, too many, or in the middle of something when the server ends.

    connection ──head, within head_s──▶ application ──answer, taken──▶ the next head
                                                        └─ nothing taken for answer_s: the connection ends

uvicorn by itself waits for heads and readers without end, refuses in plain text, and at its end closes connections on
which a request may be on its way.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from dualsight.errors import DualsightError, MalformedRequest, RequestTooSlow
from dualsight.interface.http.errors import refusal
from dualsight.interface.http.keys import CROWDED

_CLOSE = (b"connection", b"close")
_LEAST = 1 << 16  # bytes


class Connection(H11Protocol):
    """One client's connection."""

    head_s = 10.0  # from the connection, or the first byte after an answer, to the end of a head
    answer_s = 30.0  # in which an answer that waits must be taken, or at least `_LEAST` of it
    last_s = 1.0  # that an idle connection has, once the server ends, for a request that is on its way

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._most, self.limit_concurrency = self.limit_concurrency, None  # its own refusal is a 503 without a word
        self._is_last = False  # the next answer ends the connection
        self._head_clock: asyncio.TimerHandle | None = None
        self._answer_clock: asyncio.TimerHandle | None = None
        self._left = 0  # bytes of answers that nobody had taken when the clock was started

    def connection_made(self, transport: Any) -> None:
        """Starts the head's clock. Of too many connections the request is marked: it is for `KeyCheck` to refuse."""
        super().connection_made(transport)
        if self._most is not None and len(self.connections) > self._most:
            self.app_state = {**self.app_state, CROWDED: True}
            self._is_last = True
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Stops the head's clock where the head is complete, starts it where one has begun."""
        super().data_received(data)
        cycle = self._unanswered
        if cycle is None:
            self._wait_for_head()
            return
        _stop(self._head_clock)
        self._head_clock = None
        if self._is_last:
            _end_with(cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        _stop(self._head_clock)
        _stop(self._answer_clock)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes an answer more slowly than it is made."""
        super().pause_writing()
        self._wait_for_reader()

    def on_response_complete(self) -> None:
        """All of an answer is on its way; what follows need not wait for its reader, but its memory does."""
        super().on_response_complete()
        self._wait_for_reader()

    def shutdown(self) -> None:
        """The server ends: what was asked is answered, and for a moment what may be on its way, too."""
        self._is_last = True
        cycle = self._unanswered
        if cycle is None:
            self.loop.call_later(self.last_s, self._close_if_idle)
        else:
            _end_with(cycle)

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is answered like any malformed request."""
        self._give_up(MalformedRequest("not a request of HTTP"))

    def _close_if_idle(self) -> None:
        if not self.transport.is_closing() and self._unanswered is None:
            super().shutdown()

    @property
    def _unanswered(self) -> RequestResponseCycle | None:
        """The request that is being answered; None also before the first, which uvicorn's types do not say."""
        return self.cycle if self.cycle and not self.cycle.response_complete else None

    def _wait_for_head(self) -> None:
        if self._head_clock is None:
            self._head_clock = self.loop.call_later(
                self.head_s, self._give_up, RequestTooSlow(f"no whole head within {self.head_s:g} s")
            )

    def _wait_for_reader(self) -> None:
        if self._answer_clock is None and (left := self.transport.get_write_buffer_size()):
            self._left = left
            self._answer_clock = self.loop.call_later(self.answer_s, self._check_reader)

    def _check_reader(self) -> None:
        self._answer_clock = None
        left = self.transport.get_write_buffer_size()
        if left and left > self._left - _LEAST:
            self.transport.abort()
        else:
            self._wait_for_reader()

    def _give_up(self, error: DualsightError) -> None:
        """Refuses and closes, without the application, where no answer has begun."""
        if self.transport.is_closing():
            return
        cycle = self._unanswered
        if cycle is None or not cycle.response_started:
            self.transport.write(_as_bytes(refusal(error, "")))
        self.transport.close()


def _end_with(cycle: RequestResponseCycle) -> None:
    """This answer is the connection's last, and says so where it has not begun."""
    cycle.keep_alive = False
    if not cycle.response_started and _CLOSE not in cycle.default_headers:
        cycle.default_headers = [*cycle.default_headers, _CLOSE]


def _as_bytes(response: Response) -> bytes:
    head = [(name, value) for name, value in response.raw_headers if name != _CLOSE[0]]
    lines = [b"HTTP/1.1 %d " % response.status_code, *(b"%s: %s" % pair for pair in (*head, _CLOSE)), b"", b""]
    return b"\r\n".join(lines) + bytes(response.body)


def _stop(clock: asyncio.TimerHandle | None) -> None:
    if clock is not None:
        clock.cancel()
