"""Pages of docs/ that run: their blocks of `sh` and `python` are executed in order, in one folder.

A block of `sh` whose lines are plain `dualsight` commands runs in this process (each would load the encoder anew), any
other in bash. A line `dualsight serve … &` is a server until the page ends. Blocks of other languages are to be read.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from dualsight.interface.cli.app import app
from server_process import serving

SHOWN_SERVER = "http://127.0.0.1:8000"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")


def run_page(page: Path, replace: Mapping[str, str] | None = None) -> str:
    """Runs the page in the working directory; what it printed. Fails where a block does.

    replace: what the page shows → what stands for it here, such as an address.
    """
    there, printed, names = dict(replace or {}), StringIO(), dict[str, Any]()
    with ExitStack() as running:
        for language, block in BLOCK.findall(page.read_text()):
            for shown, here in there.items():
                block = block.replace(shown, here)
            if block.startswith("dualsight serve ") and block.endswith("&\n"):
                server = running.enter_context(serving(*shlex.split(block)[2:-1]))
                there[SHOWN_SERVER] = server.url
            elif language == "python":
                with redirect_stdout(printed):
                    exec(compile(block, page.name, "exec"), names)  # noqa: S102 - our own pages
            else:
                printed.write("".join(_run_shell(block)))
    return printed.getvalue()


def pictures_of(page: Path) -> list[str]:
    """The pictures beside a page that it shows."""
    return PICTURE.findall(page.read_text())


def _run_shell(block: str) -> Iterator[str]:
    lines = block.replace("\\\n", " ").splitlines()
    if not all(line.startswith("dualsight ") and not set(line) & set("|><$;&") for line in lines):
        done = subprocess.run(["bash", "-euc", block], capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, (block, done.stderr)
        yield done.stdout
        return
    for line in lines:
        words = [name for word in shlex.split(line, comments=True)[1:] for name in _expanded(word)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (line, done.output, done.exception)
        yield done.stdout


def _expanded(word: str) -> list[str]:
    """The files that a word with a * names, as a shell expands it."""
    return sorted(map(str, Path().glob(word))) if "*" in word and not Path(word).is_absolute() else [word]
