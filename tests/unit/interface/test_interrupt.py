"""Ctrl-C at the moments at which it hurts, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dualsight.interface.interrupt import INTERRUPTED

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal there")

SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from dualsight.interface.interrupt import handle_interrupts, unfinished
if "ignored" in sys.argv:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
handle_interrupts()
unfinished.add(Path("half"))
Path("half").write_text("half a file")
def wait():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)
    print("goes on")
try:
    if "importing" in sys.argv:
        import library
    else:
        wait()
except KeyboardInterrupt:
    print("raised")
"""


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "library.py").write_text("import __main__\n__main__.wait()\n")
    command = [sys.executable, "-c", SCRIPT, *words]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)


def test_while_a_library_is_imported_the_process_ends_and_leaves_no_half_file(tmp_path: Path) -> None:
    done = run(tmp_path, "importing")
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "interrupted\n")
    assert not (tmp_path / "half").exists()


def test_elsewhere_it_is_the_usual_exception(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "raised\n", "")
    assert (tmp_path / "half").exists()


def test_a_process_that_ignores_it_goes_on_doing_so(tmp_path: Path) -> None:
    done = run(tmp_path, "ignored", "importing")
    assert (done.returncode, done.stdout, done.stderr) == (0, "goes on\n", "")


@pytest.mark.parametrize("module", ["dualsight.interface.cli.app", "torch"])
def test_the_program_ends_in_a_word_while_it_starts(module: str, tmp_path: Path) -> None:
    """torch ended in "terminate called after throwing an instance of pybind11::error_already_set", and a core dump."""
    start = f"""
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from dualsight.__main__ import main
main()
"""
    command = [sys.executable, "-c", start, "embed", str(tmp_path), "-o", str(tmp_path / "v.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (INTERRUPTED, "interrupted\n")
