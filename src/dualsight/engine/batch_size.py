"""How many pictures at a time: the smallest batch that is about as quick by the picture as any that fits into memory.

    1, 2, 4, … pictures, timed ──▶ until a batch twice as large gains little, or would not fit ──▶ remembered

On a processor one picture of the official size keeps every core busy; a small model, or a GPU, wants more.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from dualsight.checkpoint.load import Checkpoint
from dualsight.engine.agreement import smooth_pixels
from dualsight.engine.base import Engine
from dualsight.engine.cache import kept, key_of
from dualsight.engine.memory import bytes_taken, memory
from dualsight.engine.select import machine_facts, stored_fingerprint

MOST = 64
MOST_UNTOLD = 8  # where the system does not tell what a batch takes
GAIN = 0.05  # of the time a picture takes: what a batch twice as large must save
MEMORY_SHARE = 0.5  # of what is free
_RECORD = "batches.json"


@dataclass(frozen=True, slots=True)
class Timed:
    """A batch size, its seconds by the picture, and the memory that it took; None where the system does not tell."""

    size: int
    picture_s: float
    n_bytes: int | None


def best_batch_size(checkpoint: Checkpoint, engine: Engine, *, limit_bytes: int | None = None) -> int:
    """For this engine of this checkpoint on this machine; measured once, in the time of some batches, and remembered;
    anew where twice as much memory is free, or half.

    limit_bytes: what a batch may take; half of the free memory without it. Raises OutputError where the cache cannot be
    written.
    """
    limit = limit_bytes if limit_bytes is not None else int((memory()[1] or 0) * MEMORY_SHARE)
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width

    def record(folder: Path) -> None:
        rows = [asdict(row) for row in time_batches(engine, size, limit_bytes=limit)]
        (folder / _RECORD).write_text(json.dumps(rows))

    room = str(max(limit, 0).bit_length())  # what was measured while memory was scarce says nothing of later
    key = key_of("batches", stored_fingerprint(checkpoint), engine.name, room, *machine_facts())
    rows = [Timed(**row) for row in json.loads((kept(key, record) / _RECORD).read_text())]
    return max(row.size for row in rows if row.size == 1 or (row.n_bytes or 0) <= limit)


def time_batches(engine: Engine, size: tuple[int, int], *, limit_bytes: int) -> list[Timed]:
    """1, 2, 4, … pictures of `size`, as long as twice as many are quicker by the picture and would fit the limit."""
    found = [_time(engine, 1, size)]
    while _may_grow(found[-1], limit_bytes):
        try:
            larger = _time(engine, 2 * found[-1].size, size)
        except torch.OutOfMemoryError:  # a device's: its memory is its limit
            break
        if larger.picture_s > (1 - GAIN) * found[-1].picture_s:
            break
        found.append(larger)
    return found


def _may_grow(last: Timed, limit_bytes: int) -> bool:
    if last.n_bytes is None:
        return 2 * last.size <= MOST_UNTOLD
    return 2 * last.size <= MOST and 2 * last.n_bytes <= limit_bytes


def _time(engine: Engine, n: int, size: tuple[int, int]) -> Timed:
    encode = partial(engine.encode_images, smooth_pixels(n, size))
    n_bytes = bytes_taken(encode)  # which warms it, too
    start = time.perf_counter()
    encode()
    return Timed(n, (time.perf_counter() - start) / n, n_bytes)
