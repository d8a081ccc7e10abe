"""Questions to a server without a connection: what is sent, when to wait, what comes of it.

    exchange ──Request──▶ Client | AsyncClient ──HTTP──▶ server
        ▲ ───────Reply─────────────┘

An exchange is a generator that knows no connection; a client is a connection that knows no question. So what both
clients say to a server is written once.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from dualsight.errors import DualsightError, ServiceError, TextError

T = TypeVar("T")

BUSY = (429, 503)  # the queue is full; not ready
FIRST_PAUSE_S = 0.5  # where the server does not say; doubled each time
LONGEST_PAUSE_S = 8.0

_KEY_HINT = "pass key=…, set DUALSIGHT_KEY, or store it with `keyring set dualsight HOST:PORT`"
_HINTS = {
    401: _KEY_HINT,
    403: _KEY_HINT,
    404: "is the address that of a `dualsight serve`, without a path of its own?",
    429: "it has more to do than it can; try again later, or pass a longer patience_s",
    503: "it is starting, or stopping; try again later, or pass a longer patience_s",
    504: "it had no time before its deadline; send less at once",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent, once `wait_s` is over: a form of fields and files (of pictures), or a document, or nothing."""

    method: Literal["GET", "POST"] = "POST"
    path: str
    document: Mapping[str, object] | None = None
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Sequence[bytes] = ()
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came. retry_after: the header, where there is one."""

    status: int
    retry_after: str | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[T]):
    """The exchange is over, and this is its result."""

    value: T


Exchange: TypeAlias = Generator[Request, Reply, T]


def advance(exchange: Exchange[T], reply: Reply | None) -> Request | Done[T]:
    """What an exchange sends next, after the reply to what it sent last; None begins it."""
    try:
        return next(exchange) if reply is None else exchange.send(reply)
    except StopIteration as stop:
        return Done(value=stop.value)


def ask(request: Request, *, service: str, patience_s: float) -> Exchange[dict[str, Any]]:
    """The server's JSON object. A busy server is asked again when it says, for at most `patience_s` of waiting.

    Raises TextError where it refuses a text, ServiceError with the status of any other answer.
    """
    reply = yield request
    waited = 0.0
    for attempt in count():
        pause = _pause_s(reply.retry_after, attempt)
        if reply.status not in BUSY or waited + pause > patience_s:
            break
        reply = yield replace(request, wait_s=pause)
        waited += pause
    if reply.status != 200:
        raise _refusal(reply, service)
    return _document(reply, service)


def _pause_s(retry_after: str | None, attempt: int) -> float:
    """What the server says (RFC 9110, 10.2.3: seconds or a date), "at once" only the first time: who says so each time
    would be asked without end. Else longer each time and at random: many clients that were sent away together do not
    come back together.
    """
    said = _seconds(retry_after)
    if said is not None and (said > 0 or attempt == 0):
        return said
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt) * random.uniform(0.5, 1.0)


def _seconds(retry_after: str | None) -> float | None:
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _document(reply: Reply, service: str) -> dict[str, Any]:
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ServiceError("the answer is no JSON object", service=service, hint=_HINTS[404])
    return document


def _refusal(reply: Reply, service: str) -> DualsightError:
    """What the server says, in its own words where it has some."""
    code, said, hint = "", "no reason given", ""
    try:
        error = json.loads(reply.body)["error"]
        code, said, hint = str(error["code"]), str(error["message"]), str(error["details"].get("hint", ""))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass  # not a dualsight server's own words: a proxy on the way has none
    if code == "text_error":
        return TextError(said, hint=hint)
    if reply.status != 404 or not hint:  # what a 404 is of, an index or an address, the server knows best
        hint = _HINTS.get(reply.status, hint)
    return ServiceError(
        said,
        service=service,
        status=reply.status,
        code=code,
        hint=hint,
    )
