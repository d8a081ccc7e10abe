"""What docs/explain.md shows runs as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/explain.md").read_text()
pytestmark = pytest.mark.e2e


def test_python_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    examples = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    assert examples
    for example in examples:
        subprocess.run([sys.executable, "-W", "error", "-c", example], check=True, timeout=120)


def test_command_lines(tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    lines = re.findall(r"^dualsight (.+)$", GUIDE, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        command = [sys.executable, "-m", "dualsight", *shlex.split(line)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (line, done.stderr)
    assert (tmp_path / "overlay.png").stat().st_size > 0 and (tmp_path / "attention.png").stat().st_size > 0


def test_pictures_are_there() -> None:
    names = re.findall(r"!\[.*?\]\((.+?)\)", GUIDE)
    assert names and all((ROOT / "docs" / name).stat().st_size < 200_000 for name in names)
