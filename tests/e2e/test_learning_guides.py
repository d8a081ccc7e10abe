"""What the guides on adapters and quality control show runs as it stands, in order, in one folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("guide", ["adapters.md", "quality-control.md"])
def test_its_examples_run(tmp_path: Path, guide: str) -> None:
    examples = re.findall(r"```(sh|python)\n(.*?)```", (DOCS / guide).read_text(), re.DOTALL)
    assert {language for language, _ in examples} == {"sh", "python"}
    for language, text in examples:
        commands = [["-W", "error", "-c", text]]
        if language == "sh":
            commands = [["-m", *shlex.split(line)] for line in text.splitlines()]
        for command in commands:
            done = subprocess.run(
                [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, (command, done.stderr)
            assert done.stdout or "phantom" in command or "embed" in command
