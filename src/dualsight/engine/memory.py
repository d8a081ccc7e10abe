"""The machine's memory: how much there is, what this process and a piece of work take, freeing what is not needed."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

_MADV_DONTNEED = 4  # madvise(2): of a mapped file, read again from it if it is ever touched
_CGROUP = Path("/sys/fs/cgroup")  # version 2, as a container sees its own


def memory() -> tuple[int | None, int | None]:
    """Bytes of memory: all that this process may have, and what is free of it (proc(5), cgroups(7))."""
    total = available = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines = _lines(Path("/proc/meminfo"))
    for line in lines:
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    limit, used = (_lines(_CGROUP / name) for name in ("memory.max", "memory.current"))
    if limit and used and limit[0].isdigit() and total is not None and available is not None:
        total = min(total, int(limit[0]))
        available = min(available, int(limit[0]) - int(used[0]) + _page_cache())
    return total, available


def _page_cache() -> int:
    """Bytes of files that the control group holds in memory: counted as used, and given up when they are needed."""
    rows = (line.split() for line in _lines(_CGROUP / "memory.stat"))
    return sum(int(n_bytes) for name, n_bytes in rows if name in ("active_file", "inactive_file"))


def bytes_taken(work: Callable[[], object]) -> int | None:
    """Does `work`, and returns what it took at most beside what was there before; None but on Linux."""
    counted = Path("/proc/self/clear_refs")
    if not counted.exists():
        work()
        return None
    counted.write_text("5")  # the peak is counted anew (proc(5))
    before = _status("VmRSS")
    work()
    return max(0, peak_bytes() - before)


def peak_bytes() -> int:
    """The most memory that was resident in this process at once.

    On Linux by the kernel's own mark: what getrusage(2) says begins at the peak of the process that started this one.
    """
    if sys.platform == "linux":
        return _status("VmHWM")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_mapping(file: Path) -> None:
    """Frees the pages of `file` that this process has mapped and not changed. Does nothing but on Linux."""
    if sys.platform != "linux":
        return
    name = str(file.resolve())
    libc = ctypes.CDLL(None, use_errno=True)
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)  # range, permissions, offset, device, inode, path (proc_pid_maps(5))
        if len(fields) == 6 and fields[5] == name and "w" not in fields[1]:
            start, end = (int(address, 16) for address in fields[0].split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def _status(name: str) -> int:
    """A size of this process in bytes, by its name in /proc/self/status."""
    (line,) = (line for line in _lines(Path("/proc/self/status")) if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []  # another system
