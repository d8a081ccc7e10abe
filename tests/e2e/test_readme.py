"""What the README shows runs as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
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


def test_command_lines(recipe_folder: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    # What `verify` names are the official weights, which are not here: a small checkpoint lies there in their layout.
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "2024.09.27").symlink_to(recipe_folder("davit"))
    lines = re.findall(r"^dualsight (.+?)(?:\s+#.*)?$", README, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line)
        paths = [str(path) for word in words if "*" in word for path in sorted(tmp_path.glob(word))]
        words = [word for word in words if "*" not in word]
        command = [sys.executable, "-m", "dualsight", words[0], *paths, *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        if words[0] == "verify":
            assert done.stdout.endswith("2024.09.27: a checkpoint, not the official weights; all checks passed\n")
    assert "verify" in {shlex.split(line)[0] for line in lines}
    assert (tmp_path / "vectors.npz").stat().st_size > 0
    assert b"<html" in (tmp_path / "walk.html").read_bytes()[:200]
