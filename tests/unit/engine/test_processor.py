from __future__ import annotations

import pytest
import torch

from dualsight.engine import processor
from dualsight.engine.processor import share_threads, told_threads


@pytest.mark.parametrize(("told", "threads"), [(None, None), ("", None), ("many", None), ("2", 2), ("3,1", 3)])
def test_the_variable_tells_engines_how_many_threads(
    monkeypatch: pytest.MonkeyPatch, told: str | None, threads: int | None
) -> None:
    monkeypatch.setattr(processor, "_threads", None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert told_threads() == threads


def test_a_share_is_every_engine_s(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setattr(processor, "_threads", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    share_threads(3)
    assert (told_threads(), torch.get_num_threads()) == (3, 3)
