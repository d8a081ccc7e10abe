"""Who may ask: the check of each request, before its body is read."""

from __future__ import annotations

import base64
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from dualsight.errors import DualsightError, KeyRefused, MalformedRequest, QueueFull
from dualsight.interface.http.errors import refusal
from dualsight.interface.http.key_file import KeyFile

OPEN_PATHS = ("/livez", "/readyz", "/health", "/openapi.json")  # for probes, and what is public anyway
PAGE = "/ui"  # below it a browser is the client, and a key the password that it asks its user for
CROWDED = "crowded"  # in the state of a request that came on one connection too many


class KeyCheck:
    """Lets a request pass that has a known key, and notes its client's name; before its body is read.

    Without a key file everybody passes, and the client is the peer's address.
    """

    def __init__(self, app: ASGIApp, keys: KeyFile | None, local_only: bool) -> None:
        """local_only: only a Host that means this machine is answered, so that no page of a browser gets in."""
        self._app = app
        self._keys = keys
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            scope.setdefault("state", {})["client"] = self._client(scope)
        except DualsightError as error:
            answer = refusal(error, scope["path"])
            if isinstance(error, MalformedRequest):
                answer.headers["Connection"] = "close"  # where its body ends nobody knows, nor what follows
            if isinstance(error, KeyRefused) and is_below(PAGE, scope["path"]):
                answer.headers["WWW-Authenticate"] = 'Basic realm="dualsight: any name, and the key", charset="UTF-8"'
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _client(self, scope: Scope) -> str:
        """Raises KeyRefused, MalformedRequest for a head with two meanings, or QueueFull on one connection too many."""
        headers = Headers(scope=scope)
        for name in ("authorization", "host", "content-length", "content-type", "transfer-encoding"):
            if len(headers.getlist(name)) > 1:
                raise MalformedRequest(f"more than one {name} header")
        if "content-length" in headers and "transfer-encoding" in headers:
            raise MalformedRequest("both content-length and transfer-encoding")
        if self._local_only and not _means_this_machine(headers.get("host", "")):
            raise MalformedRequest("the Host is not this machine", hint="start it with --keys to be reached by name")
        peer = scope["client"][0] if scope.get("client") else "unknown"
        if scope["path"] in OPEN_PATHS:
            return str(peer)
        if scope.get("state", {}).get(CROWDED):
            raise QueueFull("too many connections are open", hint="try again in a moment")
        if self._keys is None:
            return str(peer)
        key = _key_in(headers.get("authorization", ""), is_basic=is_below(PAGE, scope["path"]))
        owner = None if key is None else self._keys.name_of(key)
        if owner is None:
            raise KeyRefused("no key, or an unknown one", hint="send the header Authorization: Bearer KEY")
        return owner


def is_below(path: str, asked: str) -> bool:
    """Whether a request's path is `path` itself, or lies below it."""
    return asked == path or asked.startswith(f"{path}/")


def _key_in(authorization: str, *, is_basic: bool) -> str | None:
    """The key in a header; None where there is none. is_basic: it is a password, and not a token."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != ("basic" if is_basic else "bearer"):
        return None
    if not is_basic:
        return value.strip()
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except ValueError:  # no base64, or no UTF-8
        return None


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine, seen from itself."""
    return host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def _means_this_machine(host_header: str) -> bool:
    host = host_header.rpartition(":")[0] if re.search(r":\d+$", host_header) else host_header
    return is_loopback(host.strip("[]").lower())
