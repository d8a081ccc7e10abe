"""What of the page a browser may ask for: its own files, its events, uploads. Everything else of Gradio is closed.

Gradio serves more than this page needs: files by their path, a proxy, its own uploads. Nothing here opens a path.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dualsight.errors import DualsightError, KeyRefused, RequestTooSlow
from dualsight.interface.http.body import BodyReader, ClientLeft
from dualsight.interface.http.errors import refusal, refusal_of
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.metrics import Metrics
from dualsight.interface.page.uploads import Uploads

UPLOAD = "/upload"
NAME_HEADER = "x-file-name"
_EVENT_BYTES = 1 << 20  # of what a visitor has typed and chosen
_READ = re.compile(
    r"/|/theme\.css|/config|/(assets|static)/[\w./-]+|/gradio_api/(info|startup-events|app_id|queue/data)"
)
_ALIVE = re.compile(r"/gradio_api/heartbeat/\w+")
_WRITE = re.compile(r"/gradio_api/(queue/join|cancel|reset)")
_POLICY = (  # Gradio builds its templates by `eval`; what matters is that nothing is asked of another machine
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; frame-src 'none'; object-src 'none'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)


class Guard:
    """The page as an application at `path`."""

    def __init__(self, page: ASGIApp, *, path: str, uploads: Uploads, limits: ServerLimits, metrics: Metrics) -> None:
        """page: Gradio's application. limits: of a visitor's file (a body), and of how long its parts may take."""
        self._page = page
        self._path = path
        self._events = BodyReader(page, ServerLimits(body_bytes=_EVENT_BYTES), metrics)
        self._uploads = uploads
        self._pause_s = limits.body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            inner = scope["path"].removeprefix(self._path)
            await self._answer(scope, inner, receive, _with_heads(send, lasting=inner.startswith("/assets/")))
        except ClientLeft:
            pass
        except DualsightError as error:
            await refusal(error, scope["path"])(scope, receive, send)

    async def _answer(self, scope: Scope, inner: str, receive: Receive, send: Send) -> None:
        method = scope["method"]
        response: Response
        if method in ("GET", "HEAD"):
            if not inner:
                response = RedirectResponse(f"{self._path}/")
            elif _READ.fullmatch(inner) and ".." not in inner:
                await self._page(scope, receive, send)
                return
            elif _ALIVE.fullmatch(inner):  # Gradio would answer without end, and the server could not stop
                response = Response("data: ALIVE\n\n", media_type="text/event-stream")
            else:
                response = _nothing_here(scope)
        else:
            _check_same_page(Headers(scope=scope))
            if method == "POST" and _WRITE.fullmatch(inner):
                await self._events(scope, receive, send)
                return
            if method == "POST" and inner == UPLOAD:
                name = unquote(Headers(scope=scope).get(NAME_HEADER, "")) or "the file"
                response = JSONResponse({"token": await self._uploads.receive(self._chunks(receive), name)})
            elif method == "DELETE" and inner.startswith(f"{UPLOAD}/"):
                self._uploads.forget(inner.removeprefix(f"{UPLOAD}/"))
                response = Response(status_code=204)
            else:
                response = _nothing_here(scope)
        await response(scope, receive, send)

    async def _chunks(self, receive: Receive) -> AsyncIterator[bytes]:
        """A request's body as it arrives. Raises ClientLeft or RequestTooSlow where it does not."""
        more = True
        while more:
            try:
                async with asyncio.timeout(self._pause_s):
                    message = await receive()
            except TimeoutError:
                raise RequestTooSlow(f"nothing arrived for {self._pause_s:g} s") from None
            if message["type"] != "http.request":
                raise ClientLeft
            yield message.get("body", b"")
            more = message.get("more_body", False)


def _nothing_here(scope: Scope) -> JSONResponse:
    return refusal_of(404, "not_found", "nothing here", scope["path"], {"hint": ""})


def _check_same_page(headers: Headers) -> None:
    """Raises KeyRefused for a request that another site's page has made this browser send."""
    origin = headers.get("origin")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
        origin is not None and origin.partition("://")[2] != headers.get("host")
    ):
        raise KeyRefused("asked by a page of another site", hint="open the page itself")


def _with_heads(send: Send, *, lasting: bool) -> Send:
    """lasting: of a file that never changes under its name."""

    async def send_with_heads(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = _POLICY
            if lasting:
                headers["Cache-Control"] = "private, max-age=31536000, immutable"
        await send(message)

    return send_with_heads
