from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dualsight.engine import memory as module
from dualsight.engine.memory import memory


def test_memory_is_what_this_process_may_have() -> None:
    total, available = memory()
    assert total is None or available is None or 0 < available <= total


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_what_work_takes_at_most_is_told_though_it_gives_it_back() -> None:
    code = (
        "import numpy as np\n"
        "from dualsight.engine.memory import bytes_taken\n"
        "for n in (64 << 20, 1000): print(bytes_taken(lambda: np.ones(n, np.uint8).sum()))"
    )  # in a process of its own: this one may have room left over, which work would take first
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    large, small = (int(line) / (1 << 20) for line in done.stdout.split())
    assert 60 < large < 80
    assert small < 8


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells them apart")
def test_the_peak_is_not_that_of_the_process_that_started_this_one() -> None:
    child = "from dualsight.engine.memory import peak_bytes; print(peak_bytes())"
    parent = (
        "import subprocess, sys\n"
        "held = bytearray(b'1') * (256 << 20)\n"
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    assert 1 << 20 < int(done.stdout) < 128 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_files_that_a_container_holds_in_memory_are_not_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 200000\nfile 700000\ninactive_file 400000\nactive_file 250000\n")
    monkeypatch.setattr(module, "_CGROUP", tmp_path)
    assert memory() == (1_000_000, 750_000)
    (tmp_path / "memory.stat").unlink()
    assert memory() == (1_000_000, 100_000)
