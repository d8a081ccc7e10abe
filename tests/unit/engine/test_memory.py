from __future__ import annotations

import subprocess
import sys

import pytest

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
