"""The command line as a tree: what each command is called, takes and says. Written down as docs/commands.md.

python tests/command_tree.py > docs/commands.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer.main

from dualsight.interface.cli.app import app

HEAD = """# Commands

What `dualsight COMMAND --help` says, of all commands. This page is written by `make commands`.

Data goes to stdout (`--json` and `--csv` are for programs), everything else to stderr. The exit code is 0, or 1 if
something could not be done (of many pictures one is enough), 2 for a command line that cannot be meant, 130 after
Ctrl-C. Files are written whole or not at all.

`dualsight --install-completion` teaches bash, zsh, fish or PowerShell to complete commands, options and their choices
with the Tab key, from the next shell on; `dualsight --show-completion bash` only prints how.
"""


@dataclass(frozen=True)
class Command:
    """A command that does something. name: without the program's."""

    name: str
    click: Any  # typer's own

    @property
    def purpose(self) -> str:
        """The first line of its help."""
        return str(self.click.help).strip().splitlines()[0]

    @property
    def examples(self) -> list[str]:
        """The lines of its help that show it at work."""
        _, _, text = str(self.click.help).partition("\b\nExample")
        return [line.strip() for line in text.splitlines() if line.strip().startswith("dualsight ")]

    @property
    def parameters(self) -> list[Any]:
        """Arguments and options, without --help."""
        return [parameter for parameter in self.click.params if "--help" not in parameter.opts]

    @property
    def arguments(self) -> list[Any]:
        """Those of its parameters that are told by their place."""
        return [parameter for parameter in self.parameters if parameter.param_type_name == "argument"]

    @property
    def options(self) -> list[Any]:
        """Those of its parameters that begin with a dash."""
        return [parameter for parameter in self.parameters if parameter.param_type_name == "option"]


def commands() -> Iterator[Command]:
    """All of them, in the order of `dualsight --help`."""
    yield from _below(typer.main.get_command(app), "")


def _below(group: Any, prefix: str) -> Iterator[Command]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _below(command, f"{prefix}{name} ")
        else:
            yield Command(f"{prefix}{name}", command)


def page() -> str:
    """docs/commands.md."""
    known = list(commands())
    lines = [HEAD, "| command | what it does |", "|---|---|"]
    lines += [f"| [`{one.name}`](#{one.name.replace(' ', '-')}) | {_cell(one.purpose)} |" for one in known]
    for one in known:
        lines += ["", f"## {one.name}", "", one.purpose, "", "```shell", *one.examples, "```", ""]
        lines += ["| | |", "|---|---|"]
        lines += [f"| `{_cell(names)}` | {_cell(said)} |" for names, said in map(_record, one.parameters)]
    return "\n".join(lines) + "\n"


def _record(parameter: Any) -> tuple[str, str]:
    """As its line in --help."""
    context = typer.main.get_command(app).make_context("dualsight", ["demo"], resilient_parsing=True)
    record = parameter.get_help_record(context)
    return (parameter.human_readable_name, "") if record is None else record


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
