"""What this processor is: its name, cores and arithmetic. torch is asked only where the system does not tell."""

from __future__ import annotations

import os
import platform
from pathlib import Path

THREADS = "OMP_NUM_THREADS"
_threads: int | None = None  # of `share_threads`
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}  # as Linux calls them, on x86 and on ARM


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices; without, it would only be slower."""
    if told := _cpuinfo(("flags", "Features")):
        return not _BFLOAT16.isdisjoint(told.split())
    import torch

    found = torch.cpu.get_capabilities()
    return any(found.get(name) for name in _BFLOAT16)


def model_name() -> str:
    """What the system calls this processor, or its architecture."""
    return _cpuinfo(("model name",)).partition("\n")[0].partition(":")[2].strip() or platform.machine()


def describe() -> list[str]:
    """All of it that a measurement depends on."""
    kind = _cpuinfo(("model name", "flags", "Features")) or platform.machine()
    return [kind, str(os.cpu_count()), str(n_cores()), os.environ.get(THREADS, "")]


def n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_threads(threads: int) -> None:
    """Has every engine of this process that is made from now on compute with so many threads: others need cores too.

    By this and not by OMP_NUM_THREADS, though torch does the same with both: of two workers on two cores each is some
    6 % slower by that (benchmarks/serve.py, five pairs).
    """
    global _threads
    import torch

    _threads = threads
    torch.set_num_threads(threads)


def told_threads() -> int | None:
    """Threads that an engine is to compute with, by `share_threads` or OMP_NUM_THREADS; None: as many as it likes.

    Of torch's own concern: it reads the variable when it is imported. Ray sets it for its actors.
    """
    if _threads is not None:
        return _threads
    told = os.environ.get(THREADS, "").partition(",")[0].strip()
    return int(told) if told.isascii() and told.isdigit() and int(told) > 0 else None


def _cpuinfo(names: tuple[str, ...]) -> str:
    """The lines of /proc/cpuinfo that begin with one of these names, each once; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(names)))
