"""What docs/search.md shows runs as it stands, in its order. One process for all: each would load the encoder anew."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dualsight.interface.cli.app import app

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.e2e


def test_examples_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs/search.md").read_text()
    n_commands = 0
    for language, block in re.findall(r"```(python)?\n(.*?)```", guide, re.DOTALL):
        if language:
            exec(compile(block, "docs/search.md", "exec"), {})  # noqa: S102 - our own guide
            continue
        for line in block.splitlines():
            if line.startswith("dualsight "):
                done = CliRunner().invoke(app, shlex.split(line)[1:])
                assert done.exit_code == 0, (line, done.output)
                n_commands += 1
    assert n_commands >= 10
    assert b"<html" in (tmp_path / "map.html").read_bytes()[:200]
