from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from dualsight.errors import DualsightError, ImageError, MissingExtra
from dualsight.interface.cli.exits import Commands, exit_code


def run_raising(error: BaseException | None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that prints a line and then raises."""
    app = typer.Typer(cls=Commands, rich_markup_mode=None)

    @app.callback()
    def describe() -> None: ...

    @app.command()
    def work() -> None:
        typer.echo("data")
        if error is not None:
            raise error

    result = CliRunner().invoke(app, ["work"])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DualsightError("x"), 1),
        (ImageError("x"), 1),
        (OSError(28, "No space left on device"), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(32, "Broken pipe"), 141),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_exit_code_and_no_traceback(error: BaseException, code: int) -> None:
    assert exit_code(error) == code
    answered, stdout, stderr = run_raising(error)
    assert answered == code
    assert stdout == "data\n"
    assert "Traceback" not in stderr


def test_success_is_zero_and_silent() -> None:
    assert run_raising(None) == (0, "data\n", "")


def test_an_error_is_told_as_error_blank_line_hint() -> None:
    stderr = run_raising(DualsightError("no preset `davit-hug`", hint="did you mean `davit-huge`?"))[2]
    assert stderr == "error: no preset `davit-hug`\n\nhint: did you mean `davit-huge`?\n"


def test_a_missing_extra_gives_the_command() -> None:
    stderr = run_raising(MissingExtra("no matplotlib", hint="pip install 'dualsight[plot]'"))[2]
    assert "hint: pip install 'dualsight[plot]'" in stderr


def test_words_in_brackets_and_colons_are_not_markup() -> None:
    stderr = run_raising(DualsightError("[red]x[/red] :skull:"))[2]
    assert stderr == "error: [red]x[/red] :skull:\n"


def test_an_operating_system_error_names_its_file() -> None:
    assert "error: a/b.csv: Permission denied" in run_raising(PermissionError(13, "Permission denied", "a/b.csv"))[2]


def test_ctrl_c_is_one_line() -> None:
    assert run_raising(KeyboardInterrupt())[2] == "interrupted\n"


def test_a_closed_pipe_is_quiet() -> None:
    assert run_raising(BrokenPipeError(32, "Broken pipe"))[2] == ""


def test_our_own_mistake_keeps_its_traceback() -> None:
    app = typer.Typer(cls=Commands)

    @app.command()
    def work() -> None:
        raise ZeroDivisionError

    assert isinstance(CliRunner().invoke(app, []).exception, ZeroDivisionError)
