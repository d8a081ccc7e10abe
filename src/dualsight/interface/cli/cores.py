"""How torch shares the cores with whatever else a server does on them."""

from __future__ import annotations

import os


def share_cores() -> None:
    """Lets torch's threads sleep while they wait for one another. Call it before torch is imported.

    By default they spin, which is a little quicker where nothing else runs. Beside threads that open pictures, or
    other programs, one thread of a product waits for its core while the others burn theirs: a picture of the
    demonstration model took 100 to 1,700 ms instead of 7 (two cores, eight busy processes). What the user has set
    stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
