from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from dualsight.errors import ConfigError
from dualsight.interface.cli import mcp as command
from dualsight.interface.http.key_file import add_key
from dualsight.interface.mcp import server as mcp_server

ANY = "0.0.0.0"  # noqa: S104 - never bound to here


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(add_key(file, "a", "secret"))
    return file


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--keys", "f"], "--keys"),
        (["--allowed-host", "a"], "--allowed-host"),
        (["--host", "127.0.0.1"], "--host"),
        (["--port", "8001"], "--port"),
        (["--http", "--host", ANY], "--keys"),
        (["--http", "--host", "192.0.2.1"], "--keys"),
        (["--http", "--host", "127.0.0.1.example"], "--keys"),
        (["--http", "--host", "::", "--keys", "f"], "--allowed-host"),
        (["--http", "--host", "", "--keys", "f"], "--allowed-host"),
        (["--http", "--port", "70000"], "--port"),
        (["--adapter", "a"], "--adapter"),
        (["--adapter", "=a"], "--adapter"),
        (["--adapter", "a=x", "--adapter", "a=y"], "--adapter"),
    ],
)
def test_what_would_let_strangers_in_or_means_nothing_is_refused(run, options: list[str], said: str) -> None:
    result = run("mcp", *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_root_that_is_no_folder_is_refused_before_the_model_is_loaded(run, tmp_path: Path) -> None:
    result = run("mcp", "--root", tmp_path / "none", "--model", "/no/such/model")
    assert result.exit_code == 1 and "is no folder" in result.stderr
    result = run("mcp", "--adapter", f"a={tmp_path / 'none'}", "--model", "/no/such/model")
    assert result.exit_code == 1 and "none" in result.stderr and "hint" in result.stderr


def test_an_index_may_be_an_address(run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def open_index(folder: object, **_: object) -> None:
        asked.append(folder)
        raise ConfigError("enough")

    monkeypatch.setattr("dualsight.store.index.Index.open", open_index)
    run("mcp", "--db", "s3://bucket/archive.db")
    assert asked == ["s3://bucket/archive.db"]


def test_without_the_sdk_the_extra_is_named(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dualsight.interface.mcp.server", None)
    result = run("mcp")
    assert result.exit_code == 1 and "dualsight[mcp]" in result.stderr


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("127.0.0.1", ["gpu.example"]),
        ("::1", ["gpu.example"]),
        ("192.0.2.1", ["192.0.2.1", "gpu.example"]),
        ("2001:db8::1", ["[2001:db8::1]", "gpu.example"]),
        (ANY, [ANY, "gpu.example"]),
    ],
)
def test_names_are_this_machine_s_and_those_given(host: str, names: list[str], keys: Path) -> None:
    assert command._names_of(host, keys, ["gpu.example"]) == ["127.0.0.1", "localhost", "[::1]", *names]


def test_a_port_that_is_taken_is_told(keys: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="cannot be listened on"):
        server = mcp_server.build_server([])
        port = taken.getsockname()[1]
        mcp_server.serve_http(server, host="127.0.0.1", port=port, keys=None, names=["127.0.0.1"])
