"""How the engines share the cores with whatever else a server does on them, and with its other workers."""

from __future__ import annotations

import os

from dualsight.engine.processor import THREADS, n_cores, told_threads


def share_cores(workers: int = 1) -> int | None:
    """The threads that each of several workers computes with, by whatever engine; None for one worker: all.

    Call it before torch is imported. Also lets torch's threads sleep while they wait for one another. By default they
    spin, which is a little quicker where nothing else runs. Beside threads that open pictures, or other programs, one
    thread of a product waits for its core while the others burn theirs: a picture of the demonstration model took 100
    to 1,700 ms instead of 7 (two cores, eight busy processes). What the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if workers == 1:
        return None
    threads = told_threads() or max(1, n_cores() // workers)
    os.environ[THREADS] = str(threads)  # read by the workers' engines
    return threads
