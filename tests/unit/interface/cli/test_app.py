from __future__ import annotations

import pytest

from dualsight import __version__
from dualsight.interface.cli.app import app

COMMANDS = (
    "demo",
    "classify",
    "embed",
    "embed-text",
    "similarity",
    "inspect",
    "phantom",
    "pull",
    "verify",
    "doctor",
)


def test_help_names_every_command(run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in (*COMMANDS, "image"):
        assert f"\n  {command} " in result.stdout
    assert len(app.registered_commands) == len(COMMANDS)
    assert [group.name for group in app.registered_groups] == ["image"]


@pytest.mark.parametrize("command", [*COMMANDS, "image info", "image show"])
def test_help_of_a_command_has_one_example(run, command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert result.stdout.count(f"\n    dualsight {command}") == 1


def test_version(run) -> None:
    assert run("--version").stdout == f"dualsight {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("clasify",), ("classify",), ("classify", "a.png", "--bogus"), ("embed", "a.png"), ("phantom",)]
)
def test_a_wrong_command_line_ends_with_two(run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr
