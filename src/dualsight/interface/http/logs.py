"""Logs: one JSON object a line on stderr, one line a request; and what every answer carries in its head.

No line holds a pixel, a text, a key, a file's name or a header's value: only what the server itself has named.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dualsight.interface.http.errors import refusal_of
from dualsight.interface.http.metrics import Metrics

_log = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CONFIG: dict[str, Any] = {  # logging.config.dictConfig's, in every process of the server
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "dualsight.interface.http.logs.JsonLine"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"dualsight": {"level": "INFO"}, "uvicorn": {"level": "INFO"}},
}


class JsonLine(logging.Formatter):
    """A record as one line of JSON. ASCII, so that nothing in it can end the line or colour a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message; the fields of `extra={"fields": …}`; a traceback as one string."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class RequestLog:
    """Gives a request its id, its answer the security headers, and the log its line.

    A mistake of ours is answered here, and not further out, where its answer would have neither.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        status = 0  # of an answer that was not sent

        async def send_with_head(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY.items():
                    headers.setdefault(name, value)
                headers["X-Request-ID"] = request_id
            await send(message)

        started = time.monotonic()
        try:
            await self._app(scope, receive, send_with_head)
        except Exception:
            if status == 0:
                await _admit_mistake(scope)(scope, receive, send_with_head)
            raise  # to whoever logs it
        finally:
            self._note(scope, request_id, status, time.monotonic() - started)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = _route(scope)
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        fields = {
            "request_id": request_id,
            "route": route,
            "status": status,
            "seconds": round(seconds, 4),
            "client": scope.get("state", {}).get("client"),
        }
        _log.info("left" if status == 0 else "answered", extra={"fields": fields})


def _admit_mistake(scope: Scope) -> JSONResponse:
    """The log has what it was; the client does not need it."""
    return refusal_of(500, "internal_error", "internal error", scope["path"], {"hint": "the server's log says more"})


def _route(scope: Scope) -> str:
    """The route's own name; what a client made up is not repeated."""
    return getattr(scope.get("route"), "path", "none")
