"""The arithmetic of archives."""

from __future__ import annotations

import pytest

from dualsight.errors import ConfigError
from dualsight.store import sizing
from dualsight.store.sizing import Machine, size

CPU = Machine(cores=16, encoder_cores=15, encode_s=0.1, open_s=0.02)


def test_the_slower_of_opening_and_encoding_is_the_rate() -> None:
    assert CPU.rate == pytest.approx(10)  # one core opens 50 a second, the encoder takes 10
    assert Machine(cores=8, encoders=2, encode_s=0.005, open_s=0.04).rate == pytest.approx(200)


def test_hours_storage_and_memory() -> None:
    million = size(1_000_000, CPU, n_machines=4)
    assert million.hours == pytest.approx(1e6 / 40 / 3600) and million.machine_hours == pytest.approx(4 * million.hours)
    assert million.table_bytes == 1_000_000 * (4096 + sizing.ROW_BYTES)
    assert million.index_bytes == 1_000_000 * (128 + sizing.INDEX_ROW_BYTES)
    assert million.qdrant_bytes == 6_144_000_000  # the example of Qdrant's own page
    half = size(1_000_000, CPU, dimensions=512)
    assert half.build_hours == pytest.approx(million.build_hours / 2)


def test_the_driver_is_the_limit_of_very_many_machines() -> None:
    assert size(10**9, CPU, n_machines=10**6).hours == pytest.approx(10**9 / sizing.DRIVER_RATE / 3600)


def test_where_another_database_takes_over() -> None:
    assert size(10**6, CPU).limits(memory_bytes=64 * 10**9, queries_s=1) == ()
    build, memory, queries = size(10**9, CPU).limits(memory_bytes=64 * 10**9, queries_s=100)
    assert "hours to build" in build and "146 GB" in memory and "100 queries" in queries


@pytest.mark.parametrize(
    "wrong",
    [
        {"encoder_cores": 16},
        {"encoders": 0},
        {"encode_s": 0.0},
        {"open_s": 0.0},
        {"open_s": -1.0},
        {"cores": 0, "encoder_cores": 0},
    ],
)
def test_machines_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Machine(**({"cores": 16, "encoder_cores": 15, "encode_s": 0.1, "open_s": 0.02} | wrong))  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        size(0, CPU)
