"""What this processor is: its name, cores and arithmetic. torch is asked only where the system does not tell."""

from __future__ import annotations

import os
import platform
from pathlib import Path

THREADS = "OMP_NUM_THREADS"
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


def told_threads() -> int | None:
    """Threads that each engine is to compute with, as OMP_NUM_THREADS says; None: all that it likes.

    torch reads it itself when it is imported; the other runtimes are told. A server's workers and Ray share the cores
    out by it.
    """
    told = os.environ.get(THREADS, "").partition(",")[0].strip()
    return int(told) if told.isascii() and told.isdigit() and int(told) > 0 else None


def _cpuinfo(names: tuple[str, ...]) -> str:
    """The lines of /proc/cpuinfo that begin with one of these names, each once; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(names)))
