from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from dualsight.interface.cli import stderr


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal in place of stderr, and no patience."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(stderr, "console", lambda: console)
    monkeypatch.setattr(stderr, "PATIENCE_S", 0.01)
    return screen


def slow(n: int):
    for number in range(n):
        time.sleep(0.05)
        yield number


def wait_for(words: str, terminal: io.StringIO) -> None:
    """Until they are shown, by a thread that a busy machine may keep waiting."""
    end = time.monotonic() + 30
    while words not in terminal.getvalue():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_no_bar_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(stderr.show_progress(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_bar_once_it_takes_long(terminal: io.StringIO) -> None:
    for number in stderr.show_progress(slow(8), "counting", total=8):
        if number == 0:
            wait_for("counting", terminal)
    assert number == 7
    rates = [float(rate) for rate in re.findall(r"([\d.]+)/s", terminal.getvalue())]
    assert rates and 1 < rates[-1] <= 21  # 50 ms each, or more on a busy machine


def test_no_bar_for_what_is_soon_done(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stderr, "PATIENCE_S", 60.0)
    assert list(stderr.show_progress(range(3), "counting")) == [0, 1, 2]
    assert "counting" not in terminal.getvalue()


def test_data_goes_to_stdout_while_a_bar_is_shown(terminal: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    for number in stderr.show_progress(slow(3), "counting"):
        print(number)
    assert capsys.readouterr().out == "0\n1\n2\n"


def test_waiting_is_told_and_ends_with_an_error(terminal: io.StringIO) -> None:
    with pytest.raises(ValueError, match="x"), stderr.waiting("loading"):
        wait_for("loading", terminal)
        raise ValueError("x")
