from __future__ import annotations

import sys

import numpy as np
import pytest

from dualsight.engine.memory import bytes_taken, memory


def test_memory_is_what_this_process_may_have() -> None:
    total, available = memory()
    assert total is None or available is None or 0 < available <= total


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_what_work_takes_at_most_is_told_though_it_gives_it_back() -> None:
    megabytes = 1 << 20
    large = bytes_taken(lambda: np.ones(64 * megabytes, np.uint8).sum())
    small = bytes_taken(lambda: np.ones(1000, np.uint8).sum())
    assert large is not None and small is not None
    assert 60 * megabytes < large < 80 * megabytes
    assert small < 8 * megabytes
