"""The page in the server's application, asked as a browser's scripts ask."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from dualsight.interface.http.app import Settings, create_app

SESSION = "abcdefghijk"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio")  # its use of pandas


class Visitor:
    """Asks one running application."""

    def __init__(self, runner: asyncio.Runner, client: httpx2.AsyncClient) -> None:
        self._runner = runner
        self._client = client
        self.page = self.ask("GET", "/ui/").text
        found = re.search(r"window\.gradio_config = (\{.*?\});</script>", self.page)
        assert found
        self.config = json.loads(found[1])

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        return self._runner.run(self._client.request(method, path, **options))

    def fire(self, number: int, data: list[Any], event: dict[str, Any] | None = None) -> Any:
        """Runs one of the page's handlers; what it put out."""
        body = {"fn_index": number, "data": data, "event_data": event, "session_hash": SESSION, "trigger_id": None}
        joined = self.ask("POST", "/ui/gradio_api/queue/join", json=body)
        assert joined.status_code == 200, joined.text
        stream = self.ask("GET", f"/ui/gradio_api/queue/data?session_hash={SESSION}").text
        messages = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data")]
        (done,) = [message for message in messages if message["msg"] == "process_completed"]
        assert done["success"], done
        return done["output"]["data"]

    def handler(self, event: str, place: int = 0) -> int:
        """The number of the page's handler of that event, of those on the server."""
        found = [
            entry["id"]
            for entry in self.config["dependencies"]
            if entry["backend_fn"] and any(target[1] == event for target in entry["targets"])
        ]
        return int(found[place])


@pytest.fixture(scope="module")
def visitor() -> Iterator[Visitor]:
    with asyncio.Runner() as runner:
        app = create_app(Settings(page=True))
        life = app.router.lifespan_context(app)
        runner.run(life.__aenter__())
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        try:
            yield Visitor(runner, client)
        finally:
            runner.run(client.aclose())
            runner.run(life.__aexit__(None, None, None))


def test_it_says_which_model_runs_and_names_no_other_machine(visitor: Visitor) -> None:
    shown = json.dumps(visitor.config["components"])
    assert "demo" in shown and "never for diagnosis" in shown
    assert visitor.config["analytics_enabled"] is False
    style = visitor.ask("GET", "/ui/theme.css").text
    assert style and not re.findall(r"@import|@font-face|url\((?![\"']data:)", style)
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']""", visitor.page)
    assert loaded and not [address for address in loaded if address.startswith(("http", "//"))]


def test_a_file_is_shown_and_deleted_on_request(visitor: Visitor) -> None:
    picture = Path(__file__).parents[4] / "samples/phantoms/00001-ct-abdomen.png"
    token = visitor.ask("POST", "/ui/upload", content=picture.read_bytes(), headers={"x-file-name": "ct.png"}).json()
    note, shown, *_ = visitor.fire(visitor.handler("dropped"), [token["token"]])
    assert note == "" and "<b>ct.png</b> PNG · 256 × 256 pixels" in shown
    visitor.ask("DELETE", f"/ui/upload/{token['token']}")
    note, *_ = visitor.fire(visitor.handler("dropped"), [token["token"]])
    assert "the file: no longer here" in note


@pytest.mark.parametrize("token", ["/etc/passwd", "../../etc/passwd", "x" * 43, 7, None])
def test_a_path_is_no_token(visitor: Visitor, token: object) -> None:
    note, shown, *_ = visitor.fire(visitor.handler("dropped"), [token])
    assert shown == "" and ("no longer here" in note or note == "")


def test_what_a_browser_would_not_send_is_no_answer_and_no_traceback(visitor: Visitor) -> None:
    for event in ({}, {"place": "x"}, {"place": -1}, {"place": 10**9}):
        note, *_ = visitor.fire(visitor.handler("picked"), [None], event)
        assert "problem" in note and "Traceback" not in note


def test_the_servers_own_routes_are_as_before(visitor: Visitor) -> None:
    assert visitor.ask("GET", "/v1/model").json()["model"] == "demo"
    answer = visitor.ask("GET", "/readyz")
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "connect-src 'self'" in visitor.ask("GET", "/ui/").headers["content-security-policy"]
    assert visitor.ask("GET", "/uix").status_code == 404


def test_before_the_model_there_is_no_page() -> None:
    async def ask() -> int:
        transport = httpx2.ASGITransport(create_app(Settings(page=True)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return int((await client.get("/ui/")).status_code)

    assert asyncio.run(ask()) == 503
