"""Streams in whole processes: scripts without a guard, Ctrl-C, a parent that is killed, an exit half-way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dicom_files import dicom_bytes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="children are counted in /proc"),
]

LIMIT_S = 60.0  # for what takes a second or two
SCRIPT = """
import sys
from itertools import cycle, islice
from pathlib import Path

print("started", flush=True)

from dualsight.image.prepare import Preprocessing
from dualsight.image.reading import Reading
from dualsight.task.prepared import prepare_ahead

preprocessing = Preprocessing(height=20, width=20, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
count = int(sys.argv[2]) or None
paths = islice(cycle([Path(sys.argv[1])]), count)
stream = prepare_ahead(paths, preprocessing, Reading(), depth=4, workers=2, patience_s=0.0)
"""
READ_ALL = 'print(sum(1 for _ in stream), "pictures", flush=True)\n'
READ_FOR_EVER = """
for n, _ in enumerate(stream):
    if n == 20:
        children = [Path(f"/proc/self/task/{task.name}/children") for task in Path("/proc/self/task").iterdir()]
        print("children", *(pid for one in children for pid in one.read_text().split()), flush=True)
"""
READ_ONE = "print(next(stream).source, flush=True)\n"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a script that streams one file so many times (0: for ever), with `rest` after its beginning."""
    started: list[subprocess.Popen[str]] = []
    picture = tmp_path / "picture"
    picture.write_bytes(dicom_bytes(np.arange(1200, dtype=np.int16).reshape(30, 40)))

    def start(rest: str, count: int) -> subprocess.Popen[str]:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT + rest)
        process = subprocess.Popen(
            [sys.executable, script, picture, str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        started.append(process)
        return process

    yield start
    for process in started:  # one that a failed test has left
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def children_of(process: subprocess.Popen[str]) -> list[int]:
    """The process ids that the script says it has started."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("children"):
            return [int(pid) for pid in line.split()[1:]]
    raise AssertionError(process.communicate())


def wait_until_gone(pid: int) -> None:
    """Raises TimeoutError-like failure by the test's own limit if it never ends."""
    descriptor = os.pidfd_open(pid)
    try:
        import select

        ended, _, _ = select.select([descriptor], [], [], LIMIT_S)
        assert ended, f"process {pid} is still there"
    finally:
        os.close(descriptor)


def assert_gone(pids: list[int]) -> None:
    assert len(pids) == 2
    for pid in pids:
        try:
            wait_until_gone(pid)
        except ProcessLookupError:
            continue


def test_a_script_without_a_guard_runs_once(start: Start) -> None:
    out, err = start(READ_ALL, 60).communicate(timeout=LIMIT_S)
    assert (out.splitlines(), err) == (["started", "60 pictures"], "")


def test_ctrl_c_leaves_no_orphan(start: Start) -> None:
    process = start(READ_FOR_EVER, 0)
    children = children_of(process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=LIMIT_S)
    assert err.count("Traceback") == 1
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert_gone(children)


def test_a_parent_that_is_killed_leaves_no_orphan(start: Start) -> None:
    process = start(READ_FOR_EVER, 0)
    children = children_of(process)
    process.kill()
    process.communicate(timeout=LIMIT_S)
    assert_gone(children)


def test_a_stream_that_is_left_half_way_does_not_hold_the_exit(start: Start) -> None:
    process = start(READ_ONE, 0)
    out, err = process.communicate(timeout=LIMIT_S)
    assert out.splitlines()[0] == "started"
    assert out.splitlines()[1].endswith("picture")
    assert (process.returncode, err) == (0, "")
