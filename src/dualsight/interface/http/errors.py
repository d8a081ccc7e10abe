"""Errors → status codes and bodies: the one table, and the shape that each contract's clients expect.

ours, Azure   {"error": {"code", "message", "details"}}
lion-ai       {"detail": message}
OpenAI        {"error": {"message", "type", "param", "code"}}
"""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import JSONResponse

from dualsight.errors import (
    DeadlineExceeded,
    DualsightError,
    FilterError,
    ImageError,
    KeyRefused,
    MalformedRequest,
    NotOffered,
    NotReady,
    QueueFull,
    RequestTooLarge,
    RequestTooSlow,
    TextError,
    UnsupportedBody,
)

# An error has the status of the first of its kinds; what is not here is a mistake of ours.
STATUS: dict[type[DualsightError], int] = {
    MalformedRequest: 400,
    KeyRefused: 401,
    NotOffered: 404,
    RequestTooSlow: 408,
    RequestTooLarge: 413,
    UnsupportedBody: 415,
    ImageError: 422,
    TextError: 422,
    FilterError: 422,
    QueueFull: 429,
    NotReady: 503,
    DeadlineExceeded: 504,
}
RETRY_AFTER_S = 1
_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},
    413: {"Connection": "close"},
    429: {"Retry-After": str(RETRY_AFTER_S)},
    503: {"Retry-After": str(RETRY_AFTER_S)},
}
_LION_AI = ("/predict", "/encode", "/health")
_OPENAI = ("/v1/embeddings", "/v1/models")
_OPENAI_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


def status_of(error: DualsightError) -> int:
    """The status code of an error; 500 for what no client can be the cause of."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)


def code_of(error: DualsightError) -> str:
    """What programs call an error: its kind, in snake case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def item_error(error: DualsightError, index: int) -> dict[str, Any]:
    """An error in the place of one item's result."""
    return {"code": code_of(error), "message": str(error), "details": {"index": index, "hint": error.hint}}


def refusal(error: DualsightError, path: str, *, index: int | None = None) -> JSONResponse:
    """The answer to a request that failed, in the words of the contract that `path` belongs to.

    index: of the item that is to blame.
    """
    status = status_of(error)
    details = {"hint": error.hint} | ({} if index is None else {"index": index})
    message = str(error) if status < 500 or status in (503, 504) else "internal error"
    return refusal_of(status, code_of(error), message, path, details)


def refusal_of(status: int, code: str, message: str, path: str, details: dict[str, Any]) -> JSONResponse:
    """The same for what has no error of ours: an unknown route, a method that is not allowed."""
    return JSONResponse(_body(status, code, message, path, details), status, _HEADERS.get(status))


def _body(status: int, code: str, message: str, path: str, details: dict[str, Any]) -> dict[str, Any]:
    hint = details.get("hint")
    if path in _LION_AI:
        return {"detail": f"{message}; {hint}" if hint else message}
    if path in _OPENAI:
        kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
        param = f"input[{details['index']}]" if "index" in details else None
        return {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return {"error": {"code": code, "message": message, "details": details}}
