from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dualsight.checkpoint.load import load_checkpoint
from dualsight.engine import batch_size as module
from dualsight.engine.batch_size import best_batch_size, time_batches

LARGE = 1 << 40


class Stub:
    """An engine whose batches take so many seconds, by a clock of its own."""

    name, precision = "stub", "float32"
    now = 0.0

    def __init__(self, fixed_s: float, item_s: float, most: int = 1000) -> None:
        self.fixed_s, self.item_s, self.most = fixed_s, item_s, most
        self.sizes: list[int] = []

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        self.sizes.append(len(pixels))
        if len(pixels) > self.most:
            raise torch.OutOfMemoryError
        Stub.now += self.fixed_s + self.item_s * len(pixels)
        return np.zeros((len(pixels), 4), np.float32)

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUALSIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(module.time, "perf_counter", lambda: Stub.now)


def sizes(engine: Stub, limit_bytes: int = LARGE) -> list[int]:
    return [row.size for row in time_batches(engine, (8, 8), limit_bytes=limit_bytes)]


def a_picture_takes_100_bytes(engine: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(work: object) -> int:
        work()  # type: ignore[operator]
        return 100 * engine.sizes[-1]

    monkeypatch.setattr(module, "bytes_taken", taken)


def test_what_gains_nothing_from_company_is_encoded_alone() -> None:
    assert sizes(Stub(0.0, 0.01)) == [1]


def test_batches_grow_while_a_picture_gets_cheaper() -> None:
    assert sizes(Stub(2.0, 1.0)) == [1, 2, 4, 8, 16, 32]  # 3, 2, 1.5, … 1.063 s; 1.031 is too little less
    assert sizes(Stub(1.0, 0.0)) == [1, 2, 4, 8, 16, 32, 64]


def test_a_device_that_runs_out_of_memory_ends_the_search() -> None:
    assert sizes(Stub(0.02, 0.0, most=4)) == [1, 2, 4]


def test_what_would_not_fit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Stub(0.01, 0.0)
    a_picture_takes_100_bytes(engine, monkeypatch)
    assert sizes(engine, limit_bytes=500) == [1, 2, 4]
    assert max(engine.sizes) == 4


def test_where_nothing_is_told_of_memory_batches_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "bytes_taken", lambda work: (work(), None)[1])
    assert sizes(Stub(0.02, 0.0))[-1] == 8


def test_it_is_measured_once_and_less_memory_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, demo = Stub(0.01, 0.0), load_checkpoint("demo")
    a_picture_takes_100_bytes(engine, monkeypatch)
    assert best_batch_size(demo, engine, limit_bytes=1600) == 16
    calls = len(engine.sizes)
    assert best_batch_size(demo, engine, limit_bytes=1100) == 8
    assert len(engine.sizes) == calls


def test_what_was_measured_while_memory_was_scarce_is_not_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, demo = Stub(0.01, 0.0), load_checkpoint("demo")
    a_picture_takes_100_bytes(engine, monkeypatch)
    assert best_batch_size(demo, engine, limit_bytes=-1) == 1
    assert best_batch_size(demo, engine, limit_bytes=250) == 2
    assert best_batch_size(demo, engine, limit_bytes=1600) == 16
