from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dualsight.errors import ConfigError
from dualsight.interface.http.app import Settings
from dualsight.interface.http.key_file import KeyFile
from dualsight.interface.http.run import Place, check


def test_a_key_is_made_shown_once_and_taken_back(run, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key = run("keys", "add", "ward7", "--keys", file).stdout.strip()
    assert KeyFile(file).name_of(key) == "ward7"
    run("keys", "add", "ward8", "--keys", file)
    assert run("keys", "list", "--keys", file).stdout.split() == ["ward7", "ward8"]
    assert run("keys", "remove", "ward7", "--keys", file).exit_code == 0
    assert KeyFile(file).name_of(key) is None


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["add", "ward7"], "already"),
        (["add", "a b"], "name"),
        (["remove", "nobody"], "nobody"),
    ],
)
def test_a_mistake_with_keys_is_told(run, tmp_path: Path, arguments: list[str], word: str) -> None:
    file = tmp_path / "keys"
    run("keys", "add", "ward7", "--keys", file)
    before = file.read_bytes()
    result = run("keys", *arguments, "--keys", file)
    assert result.exit_code == 1 and word in result.stderr
    assert file.read_bytes() == before
    assert run("keys", "list", "--keys", tmp_path / "none").exit_code == 1


def test_keys_need_no_extra(tmp_path: Path) -> None:
    hidden = "fastapi", "starlette", "prometheus_client", "python_multipart", "uvicorn"
    code = f"import sys; sys.modules.update(dict.fromkeys({hidden})); from dualsight.__main__ import main; main()"
    for words in (["add", "ward7"], ["list"], ["remove", "ward7"]):
        command = [sys.executable, "-c", code, "keys", *words, "--keys", str(tmp_path / "keys")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_notes_in_a_key_file_are_kept(run, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    run("keys", "add", "ward7", "--keys", file)
    file.write_text(f"{file.read_text()}# until May\n")
    run("keys", "add", "ward8", "--keys", file)
    run("keys", "remove", "ward7", "--keys", file)
    first, note, last = file.read_text().splitlines()
    assert (first[:1], note) == ("#", "# until May") and last.startswith("ward8 ")


@pytest.mark.parametrize("command", ["serve", "ui"])
def test_an_index_may_be_an_address(run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    asked: list[Settings] = []

    def check(_: Place, settings: Settings, *, insecure: bool) -> None:
        asked.append(settings)
        raise ConfigError("enough")

    monkeypatch.setattr("dualsight.interface.http.run.check", check)
    run(command, "--db", "s3://bucket/archive.db")
    assert [settings.index for settings in asked] == ["s3://bucket/archive.db"]


@pytest.mark.parametrize(("workers", "cores"), [(1, None), (2, 3), (8, 1)])
def test_workers_share_the_cores(run, monkeypatch: pytest.MonkeyPatch, workers: int, cores: int | None) -> None:
    asked: list[Settings] = []
    monkeypatch.setattr("dualsight.engine.processor.n_cores", lambda: 6)
    monkeypatch.setattr("dualsight.interface.http.run.check", lambda place, settings, insecure: asked.append(settings))
    monkeypatch.setattr("dualsight.interface.http.run.serve", lambda *_: None)
    assert run("serve", "--workers", workers).exit_code == 0
    assert [settings.cores for settings in asked] == [cores]


def test_without_the_extra_its_command_is_named(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    result = run("serve")
    assert result.exit_code == 1 and "pip install 'dualsight[serve]'" in result.stderr


@pytest.mark.parametrize("command", ["serve", "mcp"])
@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_torch_s_threads_sleep_while_they_wait(
    run, monkeypatch: pytest.MonkeyPatch, command: str, before: str | None, after: str
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", before or "")
    if before is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    assert run(command, "--model", "nowhere").exit_code == 1
    assert os.environ["OMP_WAIT_POLICY"] == after


def test_the_commands_leave_torch_to_be_told_first() -> None:
    code = "import sys, dualsight.interface.cli.serve, dualsight.interface.cli.mcp; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "server.example"])  # noqa: S104 - not bound
def test_beyond_this_machine_a_key_file_is_needed(host: str, tmp_path: Path, weights: Path) -> None:
    settings = Settings(model=str(weights))
    with pytest.raises(ConfigError, match="no key is asked for"):
        check(Place(host=host), settings, insecure=False)
    check(Place(host=host), settings, insecure=True)
    check(Place(host="127.0.0.1"), settings, insecure=False)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--host", "0.0.0.0"], "no key"),  # noqa: S104 - refused
        (["--keys", "nowhere.txt"], "nowhere.txt"),
        (["--tls-cert", "a.pem"], "TLS"),
        (["--tls-cert", "a.pem", "--tls-key", "b.pem"], "a.pem"),
        (["--tls-cert", __file__, "--tls-key", __file__], "no certificate"),
        (["--max-images", "300"], "queue"),
        (["--deadline-s", "inf"], "no deadline"),
        (["--model", "nowhere"], "nowhere"),
        (["--db", "nowhere"], "no index is here"),
        (["--adapter", "nowhere"], "nowhere"),
        (["--host", "no.such.host.invalid", "--insecure"], "cannot be listened on"),
    ],
)
def test_a_server_that_should_not_start_does_not(run, options: list[str], word: str) -> None:
    result = run("serve", "--port", "0", *options)
    assert result.exit_code == 1
    assert word in result.stderr and "hint: " in result.stderr
