"""What is said beside the data: errors, notes and progress, all on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Timer
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

PATIENCE_S = 1.0
"""How long something may take before it is shown to be under way."""


@cache
def console() -> Console:
    """The one console on stderr, so that a note does not run into a progress bar. It obeys NO_COLOR."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def show_line(text: str) -> None:
    """One line."""
    console().print(text)


def show_error(message: str, hint: str = "") -> None:
    """`error: …`, and after a blank line `hint: …`."""
    console().print(_headed("error", "bold red", message))
    if hint:
        console().print()
        console().print(_headed("hint", "bold cyan", hint))


def _headed(head: str, style: str, text: str) -> object:
    from rich.text import Text

    return Text.assemble((head, style), ": ", text)


def show_progress(
    stream: Iterable[T], what: str, *, total: int | None = None, beside_output: bool = False
) -> Iterator[T]:
    """The items of `stream`, counted by a bar with their rate once they take longer than a moment, where stderr is a
    terminal.

    beside_output: results are printed meanwhile; on a terminal these show progress themselves.
    """
    if not console().is_terminal or (beside_output and sys.stdout.isatty()):
        yield from stream
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.3g}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), Elapsed())
    progress = Progress(*columns, console=console(), transient=True, redirect_stdout=False)  # stdout is for data
    task = progress.add_task(what, total=total)
    with _shown_late(progress):
        for item in stream:
            yield item
            progress.advance(task)


@contextmanager
def waiting(what: str) -> Generator[Callable[[str], None], None, None]:
    """Says what is being waited for, once it takes longer than a moment, where stderr is a terminal.

    Gives a function that says it anew.
    """
    if not console().is_terminal:
        yield lambda text: None
        return
    status = console().status(what)
    with _shown_late(status):
        yield status.update


class _Display(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


@contextmanager
def _shown_late(display: _Display) -> Generator[None, None, None]:
    timer = Timer(PATIENCE_S, display.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        display.stop()
