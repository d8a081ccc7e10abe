from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from dualsight.errors import ConfigError
from dualsight.interface.http.keys import (
    KeyCheck,
    KeyFile,
    _means_this_machine,
    add_key,
    as_text,
    is_below,
    is_loopback,
    new_key,
    read_hashes,
)


def write(file: Path, **keys: str) -> Path:
    hashes: dict[str, str] = {}
    for name, key in keys.items():
        hashes = add_key(hashes, name, key)
    file.write_text(as_text(hashes))
    return file


def test_a_key_is_known_by_its_name_and_not_written_down(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    file = write(tmp_path / "keys", ward7=first, ward8=second)
    keys = KeyFile(file)
    assert keys.name_of(first) == "ward7" and keys.name_of(second) == "ward8"
    assert first not in file.read_text()
    for wrong in ("", first[:-1], first + "=", first.lower(), "é" * 50, read_hashes(file)["ward7"]):
        assert keys.name_of(wrong) is None


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = write(tmp_path / "keys", old="a")
    keys = KeyFile(file)
    write(file, new="bb")
    assert keys.name_of("a") is None and keys.name_of("bb") == "new"


@pytest.mark.parametrize("damage", ["nonsense", "name sha256:12", b"\xff\xfe"])
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, damage: str | bytes, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path / "keys", one="a")
    keys = KeyFile(file)
    file.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    assert keys.name_of("a") is None
    assert "no key is accepted" in caplog.text
    file.unlink()
    assert keys.name_of("a") is None
    write(file, one="a")
    assert keys.name_of("a") == "one"


@pytest.mark.parametrize("text", ["", "# nothing\n", "a b", f"x sha256:{'0' * 64}\nx sha256:{'1' * 64}"])
def test_a_file_without_a_sound_key_starts_no_server(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ConfigError):
        KeyFile(file)


@pytest.mark.parametrize("name", ["", "a b", "ward\n7", "x" * 65, "taken"])
def test_a_name_is_a_name(name: str) -> None:
    with pytest.raises(ConfigError):
        add_key({"taken": "0" * 64}, name, "key")


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True), st.text(min_size=1), max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, str]) -> None:
    file = tmp_path_factory.mktemp("keys") / "keys"
    hashes: dict[str, str] = {}
    for name, key in keys.items():
        hashes = add_key(hashes, name, key.encode("utf-8", "replace").decode())
    file.write_text(as_text(hashes))
    assert read_hashes(file) == hashes


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
    sent: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        sent.append({"client": scope["state"]["client"]})

    async def send(message: Message) -> None:
        sent.append(message)

    check = KeyCheck(application, keys=KeyFile(write(tmp_path / "keys", ward7=key)), local_only=False)
    value = authorization.format(**words).encode("latin-1")
    headers = [(b"authorization", value)] if value else []
    scope = {"type": "http", "path": path, "headers": headers, "client": ("127.0.0.1", 1)}
    asyncio.run(check(scope, _nothing, send))
    if is_let_in:
        assert sent == [{"client": "ward7"}]
        return
    asked_for = dict(sent[0]["headers"])[b"www-authenticate"]
    assert sent[0]["status"] == 401 and asked_for.startswith(b"Basic " if is_below("/ui", path) else b"Bearer")
