"""How the command line ends: what an error says, and with which exit code. The only such table."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from dualsight.errors import DualsightError
from dualsight.interface.cli.stderr import show_error, show_line
from dualsight.interface.interrupt import INTERRUPTED

if TYPE_CHECKING:
    Context = Any  # typer carries its own click since 0.26, and uses the library's before

OK = 0
FAILURE = 1  # something could not be done; of many pictures, one is enough
USAGE = 2  # the command line could not be meant; typer says what is wrong with it
BROKEN_PIPE = 141  # 128 + SIGPIPE: the reader of our output has left

EXIT_CODES: dict[type[BaseException], int] = {
    DualsightError: FAILURE,
    BrokenPipeError: BROKEN_PIPE,
    OSError: FAILURE,
    KeyboardInterrupt: INTERRUPTED,
}


class Commands(TyperGroup):
    """Runs a command. What a user can mend ends in a line and an exit code; a mistake of ours in a traceback."""

    def invoke(self, ctx: Context) -> Any:
        """Runs it and hands its output over; raises typer.Exit for every error in the table."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except tuple(EXIT_CODES) as error:
            _explain(error)
            if isinstance(error, OSError):
                _drop_output()
            raise typer.Exit(exit_code(error)) from None


def exit_code(error: BaseException) -> int:
    """The exit code of an error: that of the first of its kinds in the table."""
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def speak_any_name() -> None:
    """Lets stdout print file names that are no valid text, as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _explain(error: BaseException) -> None:
    match error:
        case DualsightError():
            show_error(str(error), error.hint)
        case BrokenPipeError():
            pass  # whoever closed the pipe knows
        case OSError():
            where = "output" if error.filename is None else str(error.filename)
            show_error(f"{where}: {error.strerror or error}")
        case _:
            show_line("interrupted")


def _drop_output() -> None:
    """Points stdout at nothing: Python would try to write the rest of it once more at exit, and complain."""
    try:
        descriptor = sys.stdout.fileno()
    except (io.UnsupportedOperation, ValueError):
        return  # not the process's own
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
