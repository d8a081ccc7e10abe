"""One command line: an option is called, defaults and means the same wherever it is, and every help has an example."""

from __future__ import annotations

import shlex
from collections import defaultdict
from typing import Any

import pytest

from command_tree import Command, commands

COMMANDS = list(commands())
OF_ITS_COMMAND = {
    "--output": "what is written is each command's own; the name is not",
    "--labels": "what is done with labels is each command's own",
    "--template": "of `adapt train` only --kind tip reads it, and its help must say so",
    "--per": "what a result, a hit, a row or a score stands for",
    "--engine": "a Ray cluster computes for `index add` alone",
    "--image": "what is done with the picture is each command's own",
    "--text": "what is done with the text is each command's own",
    "--queries": "exact search of a million rows takes seconds a query, so `index check` asks less",
    "--method": "methods of what the command does",
    "--reference": "of `qc exam` a table: there it is said how each reference was made",
    "--seed": "what is left to chance differs",
    "--adapter": "what is done with it is each command's own; mcp gives each a name",
    "--format": "each writes forms of its own",
    "--host": "of mcp only with --http, and its help must say so",
    "--port": "as --host; and two servers on one machine need two ports",
    "--keys": "as --host",
    "--db": "what is done with the index is each command's own; a server and a page do without one",
}

WORD_OF_ITS_COMMAND = {
    ("inspect", "MODEL"): "a configuration has something to show as well",
    ("index add", "IMAGES…"): "keeps a table's other columns",
    ("keys add", "NAME"): "is made",
    ("keys remove", "NAME"): "is taken back",
}
SEARCHING = ("mcp", "serve", "ui")  # commands that search an index beside what else they do


def option(parameter: Any) -> tuple[Any, ...]:
    """What must be the same of an option in every command."""
    return (tuple(parameter.opts), parameter.default, parameter.help, parameter.metavar, parameter.multiple)


def is_words(argument: Any) -> bool:
    """Whether an argument is a list of texts."""
    return str(argument.metavar) == "TEXTS…"


def options() -> dict[str, dict[tuple[Any, ...], list[str]]]:
    """Long name → what it is → the commands where it is that."""
    found: dict[str, dict[tuple[Any, ...], list[str]]] = defaultdict(lambda: defaultdict(list))
    for command in COMMANDS:
        for parameter in command.options:
            found[parameter.opts[-1]][option(parameter)].append(command.name)
    return found


def test_the_same_option_is_the_same_everywhere() -> None:
    differing = {
        name: dict(kinds) for name, kinds in options().items() if len(kinds) > 1 and name not in OF_ITS_COMMAND
    }
    assert differing == {}


def test_what_is_allowed_to_differ_does() -> None:
    assert {name for name in OF_ITS_COMMAND if len(options()[name]) < 2} == set()


def test_a_short_name_belongs_to_one_long_name() -> None:
    long_names = defaultdict(set)
    for kinds in options().values():
        for names, *_ in kinds:
            for short in names[:-1]:
                long_names[short].add(names[-1])
    assert {short: names for short, names in long_names.items() if len(names) > 1} == {}


def test_the_same_bare_word_is_the_same_everywhere() -> None:
    found: dict[str, set[Any]] = defaultdict(set)
    for command in COMMANDS:
        for word in command.arguments:
            assert word.help and word.metavar, (command.name, word.name)
            if (command.name, word.metavar) not in WORD_OF_ITS_COMMAND:
                found[word.metavar.strip("[]")].add(word.help)
    assert {metavar: helps for metavar, helps in found.items() if len(helps) > 1} == {}


def test_a_key_file_has_one_name() -> None:
    assert {one.name for one in COMMANDS if one.name.startswith("keys ")} | {"serve", "mcp"} == {
        name for names in options()["--keys"].values() for name in names
    }


def test_a_list_of_pictures_is_what_the_answer_is_about() -> None:
    """What pictures are compared with is an option."""
    lists = {
        (word.metavar, word.help)
        for one in COMMANDS
        for word in one.arguments
        if word.nargs == -1 and not is_words(word)
    }
    assert {metavar for metavar, _ in lists} == {"IMAGES…"}


def test_what_is_written_is_an_option_and_never_a_bare_word() -> None:
    assert [one.name for one in COMMANDS for word in one.arguments if word.name in ("output", "out")] == []


def test_who_computes_can_be_chosen_wherever_a_model_does() -> None:
    """Not of the demonstration, which shows what is chosen without being asked, nor where a picture is only shown."""

    def having(name: str) -> set[str]:
        return {command for commands in options()[name].values() for command in commands}

    for name in ("--engine", "--precision", "--device"):
        assert having("--model") - having(name) == {"demo", "image show"}, name


def test_an_index_has_one_name() -> None:
    """It is --db; of the two that search, which are about nothing else, it is the bare word DB."""
    assert {one.name for one in COMMANDS if one.name.startswith("index") or one.name in SEARCHING} == {
        name for kinds in [options()["--db"]] for names in kinds.values() for name in names
    }
    assert "--index" not in options()
    words = {(one.name, word.metavar) for one in COMMANDS for word in one.arguments if word.name in ("db", "index")}
    assert words == {("search", "DB"), ("search-evaluate", "DB")}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_says_what_each_word_is_and_shows_it_at_work(command: Command) -> None:
    assert command.purpose.endswith(".") or command.purpose.endswith("?") or "." in command.purpose
    assert command.examples
    known = {name for parameter in command.options for name in (*parameter.opts, *parameter.secondary_opts)}
    for parameter in command.options:
        assert parameter.help, parameter.opts
    own = [example for example in command.examples if example.startswith(f"dualsight {command.name}")]
    assert own
    for example in own:
        used = {word for word in shlex.split(example) if word.startswith("-")}
        assert used <= known, example
