"""Memory that is no longer needed, given back to the system while its file stays open."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_MADV_DONTNEED = 4  # madvise(2): of a mapped file, read again from it if it is ever touched


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
