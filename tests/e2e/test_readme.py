"""What the README shows runs as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
pytestmark = pytest.mark.e2e


def test_python_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert examples
    for example in examples:
        subprocess.run([sys.executable, "-W", "error", "-c", example], check=True, timeout=120)


def test_command_lines(tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    lines = re.findall(r"^dualsight (.+?)(?:\s+#.*)?$", README, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line)
        if words[0] == "verify":
            continue  # needs the official weights; tests/unit/checkpoint/test_verify.py has the rest
        paths = [str(path) for word in words if "*" in word for path in sorted(tmp_path.glob(word))]
        words = [word for word in words if "*" not in word]
        command = [sys.executable, "-m", "dualsight", words[0], *paths, *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (line, done.stderr)
    assert (tmp_path / "vectors.npz").stat().st_size > 0
    assert b"<html" in (tmp_path / "walk.html").read_bytes()[:200]
