"""What docs/evaluation.md shows runs as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parents[2] / "docs/evaluation.md").read_text()
pytestmark = pytest.mark.e2e


def test_the_guide_runs(tmp_path: Path) -> None:
    draw, measure = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "phantoms.py").write_text(draw)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL) for line in block.splitlines()]
    assert len(lines) == 3
    answers = []
    for line in lines:
        words = shlex.split(line)
        program = ["-m", "dualsight"] if words[0] == "dualsight" else []
        assert words[0] in ("dualsight", "python")
        command = [sys.executable, *program, *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, (line, done.stderr)
        answers.append(done.stdout)
    assert "12 pictures of 12 patients, split test" in answers[1]
    assert re.search(r"above|below", answers[2])
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.html", "report.json", "thresholds.json"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", measure], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("zero-shot ")
