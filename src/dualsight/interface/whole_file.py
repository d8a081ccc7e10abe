"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dualsight.errors import OutputError
from dualsight.interface.interrupt import unfinished


@contextmanager
def whole_file(path: Path) -> Generator[IO[bytes], None, None]:
    """A binary file that takes the name `path` when the block ends well, and leaves nothing behind otherwise.

    Raises OutputError if the folder is not there or cannot be written, or the disk is full.
    """
    check_place(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.add(part)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)
        unfinished.discard(part)


def check_folder(path: Path) -> None:
    """Raises OutputError where no folder can be made: before the work, not after it."""
    there = next((place for place in (path, *path.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        raise OutputError(f"{there}: is a file, and results go into a folder", hint="name another place")


def make_folder(path: Path) -> None:
    """Makes a folder for results, and those above it, unless they are there. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: no folder can be made here ({error.strerror})") from error


def check_place(path: Path) -> None:
    """Raises OutputError where no file can lie: before the work, not after it."""
    if not path.parent.is_dir():
        raise OutputError(f"{path}: no folder {path.parent}", hint=f"mkdir -p {path.parent}")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder", hint="name a file in it")
