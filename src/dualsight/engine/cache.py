"""What was compiled once, kept on disk: a folder for each key, there whole or not at all.

    $DUALSIGHT_CACHE, else the user's cache folder
      engines/<key>/…          made by one process while the others that want it wait
      engines/<key>.lock

A key is a hash over everything that the content depends on, so nothing here ever goes stale; what is no longer
asked for can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from dualsight.errors import OutputError


def cache_folder() -> Path:
    """Where dualsight keeps what it can make again: $DUALSIGHT_CACHE, else the system's place for such files."""
    if chosen := os.environ.get("DUALSIGHT_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        home = Path.home() / "Library/Caches"
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "dualsight"


def key_of(*facts: str) -> str:
    """Hexadecimal hash of facts, in their order."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def kept(key: str, make: Callable[[Path], None]) -> Path:
    """The folder of `key`; filled by `make`, in an empty folder, where there is none yet.

    Safe among processes: one makes it, the others wait. What `make` raises is raised here and leaves nothing behind,
    and so does a process that is killed, but for a folder whose name begins with a dot.
    Raises OutputError where the cache cannot be written or the disk is full.
    """
    home = cache_folder() / "engines"
    folder = home / key
    if folder.is_dir():
        return folder
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / f"{key}.lock"):
            if not folder.is_dir():  # another process may have made it meanwhile
                _fill(folder, make)
    except OSError as error:
        hint = "set DUALSIGHT_CACHE to a folder with room"
        raise OutputError(f"{home}: cannot be written ({error.strerror or error})", hint=hint) from error
    return folder


def _fill(folder: Path, make: Callable[[Path], None]) -> None:
    for left in folder.parent.glob(f".{folder.name}-*"):  # by a process that was killed: nobody else holds the lock
        shutil.rmtree(left, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        make(new)
        new.chmod(0o755)  # mkdtemp lets nobody else in, and others may share the cache
        new.replace(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
