"""What of the page can be reached, asked as a browser or a stranger would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from dualsight.errors import UnreadableImage
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.metrics import Metrics
from dualsight.interface.page.guard import Guard
from dualsight.interface.page.uploads import Uploads

LIMITS = ServerLimits(body_bytes=1000, bodies_bytes=5000)
ORIGIN = "http://127.0.0.1"


async def _gradio(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"gradio {scope['path']} {len(body)}")(scope, receive, send)


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path, file_bytes=LIMITS.body_bytes, total_bytes=5000)


@pytest.fixture
def guard(uploads: Uploads) -> Guard:
    return Guard(_gradio, path="/ui", uploads=uploads, limits=LIMITS, metrics=Metrics())


def _ask(guard: Guard, method: str, path: str, **options: Any) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(guard), base_url=ORIGIN) as client:
            return await client.request(method, path, **options)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "path", ["/ui/", "/ui/theme.css", "/ui/assets/index-a.js", "/ui/config", "/ui/gradio_api/queue/data?session_hash=a"]
)
def test_what_the_browser_needs(guard: Guard, path: str) -> None:
    answer = _ask(guard, "GET", path)
    assert answer.text.startswith("gradio /ui/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "http" not in policy


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ui/gradio_api/file=/etc/passwd"),
        ("GET", "/ui/gradio_api/file/etc/passwd"),
        ("GET", "/ui/gradio_api/proxy=http://elsewhere.example/"),
        ("GET", "/ui/assets/../../secret"),
        ("GET", "/ui/assets/%2e%2e/secret"),
        ("GET", "/ui/monitoring"),
        ("GET", "/ui/upload/token"),
        ("POST", "/ui/gradio_api/upload"),
        ("POST", "/ui/gradio_api/run/predict"),
        ("POST", "/ui/gradio_api/component_server"),
        ("POST", "/ui/gradio_api/call/ask"),
        ("POST", "/ui/"),
        ("PUT", "/ui/upload"),
    ],
)
def test_everything_else_is_closed(guard: Guard, method: str, path: str) -> None:
    assert _ask(guard, method, path).status_code == 404


def test_the_page_without_its_slash(guard: Guard) -> None:
    answer = _ask(guard, "GET", "/ui")
    assert answer.status_code == 307 and answer.headers["location"] == "/ui/"


def test_a_stream_without_end_ends(guard: Guard) -> None:
    answer = _ask(guard, "GET", "/ui/gradio_api/heartbeat/abc")
    assert answer.status_code == 200 and "gradio" not in answer.text


def test_a_file_comes_and_goes(guard: Guard, uploads: Uploads) -> None:
    answer = _ask(guard, "POST", "/ui/upload", content=b"pixels", headers={"X-File-Name": "a%20b%C3%BC.png"})
    token = answer.json()["token"]
    assert uploads.find(token).name == "a bü.png" and uploads.find(token).path.read_bytes() == b"pixels"
    assert _ask(guard, "DELETE", f"/ui/upload/{token}").status_code == 204
    with pytest.raises(UnreadableImage):
        uploads.find(token)


def test_a_file_that_is_too_large(guard: Guard, tmp_path: Path) -> None:
    answer = _ask(guard, "POST", "/ui/upload", content=b"a" * 1001)
    assert answer.status_code == 413 and "more than 1,000 bytes" in answer.json()["error"]["message"]
    assert not list(tmp_path.iterdir())


def test_what_a_visitor_types_has_a_limit(guard: Guard) -> None:
    event = {"content": b"[" + b"1" * (1 << 20) + b"]", "headers": {"content-type": "application/json"}}
    assert _ask(guard, "POST", "/ui/gradio_api/queue/join", **event).status_code == 413
    small = {"content": b"[1]", "headers": {"content-type": "application/json"}}
    assert _ask(guard, "POST", "/ui/gradio_api/queue/join", **small).text == "gradio /ui/gradio_api/queue/join 3"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://elsewhere.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
    ],
    ids=["origin", "null", "no address", "cross-site"],
)
def test_another_sites_page_can_do_nothing(guard: Guard, tmp_path: Path, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/ui/upload"), ("POST", "/ui/gradio_api/queue/join"), ("DELETE", "/ui/upload/a")):
        assert _ask(guard, method, path, headers=headers).status_code == 401
    assert not list(tmp_path.iterdir())
    assert _ask(guard, "POST", "/ui/upload", content=b"a", headers={"origin": ORIGIN}).status_code == 200


def test_who_stops_sending_keeps_nothing(uploads: Uploads, tmp_path: Path) -> None:
    async def stops() -> AsyncIterator[bytes]:
        yield b"half"
        await asyncio.Event().wait()

    async def work() -> int:
        limits = ServerLimits(body_s=0.05)
        guard = Guard(_gradio, path="/ui", uploads=uploads, limits=limits, metrics=Metrics())
        sent: list[dict[str, Any]] = []
        parts = stops()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": await anext(parts), "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/ui/upload", "headers": [], "query_string": b""}
        await guard(scope, receive, send)
        return int(sent[0]["status"])

    assert asyncio.run(work()) == 408
    assert not list(tmp_path.iterdir())
