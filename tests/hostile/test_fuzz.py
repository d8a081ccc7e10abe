"""2,000 damaged files of each kind; `make fuzz` opens 20,000. And that the judge sees what it is there to see."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dualsight.engine.memory import peak_bytes
from dualsight.errors import UnreadableImage
from hostile import fuzz, judge
from hostile.kinds import KINDS, Kind, damaged_file
from hostile.seeds import MARK

N_FILES = 2000


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_gives_frames_or_an_image_error_and_nothing_else(kind: str) -> None:
    report = fuzz.fuzz(kind, N_FILES)
    assert not report.failures, report.explained()
    assert report.shown > N_FILES / 20 and report.refused.total()  # damaged, not destroyed


def test_a_number_gives_the_same_file_in_every_process() -> None:
    made = [damaged_file(kind, number) for kind in KINDS.values() for number in range(3)]
    script = (
        "import sys, hashlib; from hostile.kinds import KINDS, damaged_file\n"
        "for kind in KINDS.values():\n"
        "    for number in range(3): sys.stdout.buffer.write(hashlib.sha256(damaged_file(kind, number)).digest())"
    )
    environment = {**fuzz._environment(), "PYTHONHASHSEED": "7"}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
    assert run.stdout == b"".join(hashlib.sha256(data).digest() for data in made)


def test_a_decode_without_end_is_ended_where_it_is(tmp_path: Path) -> None:
    """By a signal that needs no cooperation: the loop here is in C, as it is in a decoder."""
    report = tmp_path / "report"
    script = (
        "import re, pathlib; from hostile import judge\n"
        "judge._HANG_S = 0.3\n"
        "judge._open = lambda kind, data, folder: re.match('(a*)*b', 'a' * 40) and 0\n"
        f"judge.main('png', 5, 7, pathlib.Path({str(report)!r}))"
    )
    run = subprocess.run([sys.executable, "-c", script], env=fuzz._environment(), capture_output=True, check=False)
    assert run.returncode == -signal.SIGPROF
    assert "case 5" in report.read_text() and "_complaints" in report.read_text()


# --- what the judge complains of


def complaints(monkeypatch: pytest.MonkeyPatch, opened: Callable[[Kind, bytes, Path], int]) -> str:
    """What it says when opening the file does that. The file is `noted: secret words`."""
    monkeypatch.setattr(judge, "_open", opened)
    monkeypatch.setattr(judge, "LIMIT_S", 0.05)
    monkeypatch.setattr(judge, "LIMIT_BYTES", peak_bytes() + 2**30)  # other tests have used this process
    with tempfile.TemporaryFile() as noise, tempfile.TemporaryFile("w+") as lines:
        monkeypatch.setattr(sys, "stderr", os.fdopen(os.dup(noise.fileno()), "w"))
        found = judge._complaints(KINDS["png"], 0, b"noted: secret words", judge.Tally(), Path(), noise, lines)
        text = "; ".join(found)
        sys.stderr.close()
    return text


def raising(error: BaseException) -> Callable[[Kind, bytes, Path], int]:
    def opened(kind: Kind, data: bytes, folder: Path) -> int:
        raise error

    return opened


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


def spin(kind: Kind, data: bytes, folder: Path) -> int:
    return sum(range(10_000_000))


def shout(kind: Kind, data: bytes, folder: Path) -> int:
    print("libtiff is cross", file=sys.stderr)
    return 1


@pytest.mark.parametrize(
    ("opened", "expected"),
    [
        (raising(KeyError("x")), "KeyError"),
        (raising(SystemExit(1)), "SystemExit"),
        (raising(UnreadableImage("broken")), "names no file"),
        (raising(UnreadableImage(f"broken by {MARK}", source="hostile-file")), "names the patient"),
        (raising(UnreadableImage("broken by secret words", source="hostile-file")), "quotes the file"),
        (raising(caused(UnreadableImage("broken", source="hostile-file"), ValueError("b'x'"))), "quotes the file"),
        (raising(caused(UnreadableImage("broken", source="hostile-file"), MemoryError())), "memory"),
        (raising(UnreadableImage("broken (MemoryError)", source="hostile-file")), "memory"),
        (spin, "took"),
        (shout, "printed b'libtiff"),
    ],
)
def test_the_judge_sees_it(
    opened: Callable[[Kind, bytes, Path], int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert expected in complaints(monkeypatch, opened)


def test_the_judge_is_content_with_a_plain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaints(monkeypatch, raising(UnreadableImage("truncated", source="hostile-file"))) == ""


@pytest.mark.parametrize(
    ("ending", "expected"),
    [("os.kill(os.getpid(), signal.SIGKILL)", "died of SIGKILL"), ("os._exit(1)", "ended with 1")],
)
def test_a_process_that_dies_is_told_and_the_next_goes_on(
    ending: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file with the number 3 ends the process."""
    script = (
        "import os, signal, sys\nfirst, stop, report = int(sys.argv[1]), int(sys.argv[2]), open(sys.argv[3], 'a')\n"
        "for number in range(first, stop):\n    report.write(f'case {number}\\n'); report.flush()\n"
        f"    if number == 3: {ending}\n"
        """report.write('done {"shown": 9, "refused": {}, "seconds": [0, 0], "n_bytes": [0, 0]}\\n')"""
    )
    monkeypatch.setattr(
        fuzz,
        "_command",
        lambda kind, first, stop, report: [sys.executable, "-c", script, str(first), str(stop), report],
    )
    report = fuzz.fuzz("png", 6, processes=1)
    assert report.shown == 9 and [number for number, _ in report.failures] == [3]
    assert expected in report.explained() and "--first 3 --count 1" in report.explained()
