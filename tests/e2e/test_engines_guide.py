"""What docs/engines.md shows runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/engines.md").read_text()


@pytest.mark.e2e
def test_the_guide_runs(tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL))
    python = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL))
    lines = [line for line in shell.splitlines() if not line.startswith("pip ")]
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "DUALSIGHT_CACHE": str(tmp_path / "cache")}
    script = "set -e\n" + "\n".join(lines)
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=True)
    subprocess.run([sys.executable, "-c", python], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "demo-int8/int8/report.json").is_file()
