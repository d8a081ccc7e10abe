from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from dualsight.interface.http.key_file import KeyFile, add_key, new_key
from dualsight.interface.http.keys import KeyCheck, _means_this_machine, is_below, is_loopback


@pytest.mark.parametrize(
    ("header", "is_local"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("127.0.0.1:1", True),
        ("127.1.2.3", True),
        ("[::1]:8000", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:80", False),
        ("localhost.evil.example", False),
        ("", False),
        ("evil.example:80#127.0.0.1", False),
    ],
)
def test_the_host_means_this_machine_or_not(header: str, is_local: bool) -> None:
    assert _means_this_machine(header) is is_local


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "", "127.0.0.1.example")))  # noqa: S104 - not bound


async def _nothing() -> Message:
    raise AssertionError("nothing is read before the key is known")


@pytest.mark.parametrize(
    ("path", "authorization", "is_let_in"),
    [
        ("/ui/", "Basic {basic}", True),
        ("/ui", "basic {basic}", True),
        ("/ui/upload", "Basic {basic}", True),
        ("/ui/", "Bearer {key}", False),
        ("/ui/", "Basic {key}", False),
        ("/ui/", "Basic {nameless}", False),
        ("/ui/", "Basic é", False),
        ("/ui/", "", False),
        ("/uix", "Basic {basic}", False),
        ("/v1/model", "Basic {basic}", False),
        ("/v1/model", "Bearer {key}", True),
    ],
)
def test_on_the_page_a_key_is_a_password(tmp_path: Path, path: str, authorization: str, is_let_in: bool) -> None:
    key = new_key()
    words = {
        "key": key,
        "basic": base64.b64encode(f"anybody:{key}".encode()).decode(),
        "nameless": base64.b64encode(key.encode()).decode(),
    }
    file = tmp_path / "keys"
    file.write_text(add_key(file, "ward7", key))
    sent: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        sent.append({"client": scope["state"]["client"]})

    async def send(message: Message) -> None:
        sent.append(message)

    check = KeyCheck(application, keys=KeyFile(file), local_only=False)
    value = authorization.format(**words).encode("latin-1")
    headers = [(b"authorization", value)] if value else []
    scope = {"type": "http", "path": path, "headers": headers, "client": ("127.0.0.1", 1)}
    asyncio.run(check(scope, _nothing, send))
    if is_let_in:
        assert sent == [{"client": "ward7"}]
        return
    asked_for = dict(sent[0]["headers"])[b"www-authenticate"]
    assert sent[0]["status"] == 401 and asked_for.startswith(b"Basic " if is_below("/ui", path) else b"Bearer")
