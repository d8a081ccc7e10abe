"""What the server counts and measures, for Prometheus. No label names a client, a picture or a text."""

from __future__ import annotations

import os
import re
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from dualsight.engine.batcher import Batch

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own name: where several workers keep their numbers
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """One server's numbers."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("dualsight_requests", "Answers", ("route", "status"), registry=registry)
        self.request_seconds = Histogram(
            "dualsight_request_seconds", "From head to answer", ("route",), buckets=_SECONDS, registry=registry
        )
        self.stage_seconds = Histogram(
            "dualsight_stage_seconds",
            "receive: a body; decode: a picture; wait: an item in the queue; encode: a batch; explain: a map; "
            "search: an index; draw: an overlay; adapt: an adapter's labels",
            ("stage",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "dualsight_batch_size", "Items encoded together", ("kind",), buckets=_SIZES, registry=registry
        )
        self.in_hand = Gauge(
            "dualsight_items_in_hand",
            "Admitted and not yet answered",
            ("kind",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.item_errors = Counter("dualsight_item_errors", "Items that failed", ("code",), registry=registry)

    def count_batch(self, kind: str, batch: Batch) -> None:
        """Takes in what a batch was."""
        self.batch_size.labels(kind).observe(batch.size)
        self.stage_seconds.labels("encode").observe(batch.seconds)
        for seconds in batch.waited_s:
            self.stage_seconds.labels("wait").observe(seconds)

    def page(self) -> bytes:
        """All numbers in Prometheus' text format; of several workers, their sum."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        _forget_the_dead(Path(os.environ[SHARED_FOLDER]))
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call] # prometheus_client has no types for it
        return generate_latest(shared)


def _forget_the_dead(folder: Path) -> None:
    """What a killed worker had in hand is in nobody's."""
    for file in folder.glob("gauge_live*_*.db"):
        match = re.search(r"_(\d+)\.db$", file.name)
        if match and not _is_alive(int(match[1])):
            mark_process_dead(int(match[1]))  # type: ignore[no-untyped-call] # nor for this


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
