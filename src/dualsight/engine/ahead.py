"""Decode while the encoder computes: a stream read ahead in a thread, order and errors kept."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Ended:
    """The stream is over, by itself or by an error that the reader is to see."""

    error: BaseException | None = None


def read_ahead(stream: Iterable[T], depth: int) -> Iterator[T]:
    """The items of `stream`, up to `depth` of them made before they are asked for.

    `stream` runs in a thread of its own. What it raises is raised here, after the items before it. When the
    reader stops early, the thread ends at its next item.
    """
    ready: queue.Queue[T | _Ended] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item: T | _Ended) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        try:
            for item in stream:
                if not put(item):
                    return
        except BaseException as error:  # handed to the reader, who raises it
            put(_Ended(error))
        else:
            put(_Ended())

    producer = threading.Thread(target=produce, name="dualsight-read-ahead", daemon=True)
    producer.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        producer.join()
