"""Who works where, and what a cluster may be asked for."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from dualsight.errors import ConfigError, EngineError, MissingExtra
from dualsight.store.ray.cluster import Cluster, Seat, joined, plan


def node(name: str, cpus: int, gpus: int = 0, alive: bool = True) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": float(cpus), "GPU": float(gpus)}}


@pytest.mark.parametrize(
    ("cpus", "cores", "encoders", "openers"),
    [
        (1, None, [0], 1),
        (2, None, [1], 1),
        (16, None, [15], 1),
        (16, 4, [4] * 3, 4),
        (4, 8, [3], 1),
        (8, 1, [1] * 7, 1),
    ],
)
def test_cores_are_shared_out(cpus: int, cores: int | None, encoders: list[int], openers: int) -> None:
    seats = plan([node("a", cpus), node("head", 0), node("gone", 8, alive=False)], cores)
    assert [seat.cpus for seat in seats.encoders] == encoders
    assert seats.openers == (Seat(node="a", cpus=1),) * openers
    assert sum(seat.cpus for seat in (*seats.encoders, *seats.openers)) <= cpus


def test_each_gpu_has_an_encoder_and_each_core_an_opener() -> None:
    seats = plan([node("a", 12, 2), node("b", 2)], None)
    assert seats.encoders == (Seat(node="a", cpus=0, gpus=1),) * 2 + (Seat(node="b", cpus=1),)
    assert [seat.node for seat in seats.openers] == ["a"] * 12 + ["b"]


def test_what_cannot_be_meant() -> None:
    with pytest.raises(EngineError, match="no processor core"):
        plan([node("head", 0)], None)
    with pytest.raises(ConfigError, match="HOST:PORT"):
        Cluster(address="ray://somewhere:10001")
    with pytest.raises(ConfigError, match="0 cores"):
        Cluster(encoder_cores=0)


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra) as caught, joined(Cluster()):
        pass
    assert caught.value.hint == "pip install 'dualsight[ray]'"
