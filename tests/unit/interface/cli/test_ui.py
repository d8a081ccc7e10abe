from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from dualsight.errors import ConfigError
from dualsight.interface.http import run as server
from dualsight.interface.http.app import Settings
from dualsight.interface.http.run import Place, check

Run = Callable[..., Result]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Place, Settings]]:
    """What would have been served."""
    asked: list[tuple[Place, Settings]] = []

    def serve(place: Place, settings: Settings) -> None:
        asked.append((place, settings))

    monkeypatch.setattr(server, "serve", serve)
    return asked


def test_it_is_on_this_machine_alone(run: Run, served: list[Any], weights: Path) -> None:
    result = run("ui", "--model", weights, "--port", "8123", "--max-file-mb", "5")
    assert result.exit_code == 0 and "http://127.0.0.1:8123/ui" in result.stderr
    ((place, settings),) = served
    assert place == Place(host="127.0.0.1", port=8123)
    assert settings.page and settings.local_only and settings.limits.body_bytes == 5 << 20


def test_an_index_that_is_none_is_told_before_it_starts(
    run: Run, served: list[Any], weights: Path, tmp_path: Path
) -> None:
    result = run("ui", "--model", weights, "--db", tmp_path / "nowhere.db")
    assert result.exit_code == 1 and "nowhere.db" in result.stderr and not served


def test_without_the_extra_its_command_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    for command in (["ui"], ["serve", "--ui"]):
        result = run(*command)
        assert result.exit_code == 1 and "pip install 'dualsight[ui]'" in result.stderr


def test_its_visitors_must_meet_one_process() -> None:
    with pytest.raises(ConfigError, match="one worker"):
        check(Place(workers=2), Settings(page=True), insecure=False)
