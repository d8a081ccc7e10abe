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
    "search",
    "search-evaluate",
    "inspect",
    "explain",
    "train",
    "evaluate",
    "mcp",
    "serve",
    "ui",
    "phantom",
    "quantize",
    "export",
    "pull",
    "verify",
    "doctor",
)
GROUPS = {
    "image": ("info", "show"),
    "index": ("add", "info", "export", "optimize", "check", "versions", "restore", "duplicates", "map"),
    "adapt": ("train", "predict"),
    "qc": ("outliers", "duplicates", "exam"),
    "keys": ("add", "list", "remove"),
}


def test_help_names_every_command(run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in (*COMMANDS, *GROUPS):
        assert f"\n  {command} " in result.stdout
    assert len(app.registered_commands) == len(COMMANDS)
    assert {group.name for group in app.registered_groups} == set(GROUPS)


@pytest.mark.parametrize("command", [*COMMANDS, *(f"{group} {name}" for group in GROUPS for name in GROUPS[group])])
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


def test_search_evaluate_is_two_words_as_well(run) -> None:
    two, one = run("search", "evaluate", "--help"), run("search-evaluate", "--help")
    assert two.exit_code == 0 and two.stdout == one.stdout
    assert "--text" in run("search", "--help").stdout
