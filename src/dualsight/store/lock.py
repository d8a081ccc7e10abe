"""One writer of an index at a time, of any process on any machine; one that was killed lets go.

LanceDB lets writers commit at once, but then two of them may add the same row.

In a folder the lock is the file system's, by SQLite. An object store has no locks, only objects that one of many
can be the first to make. So turns are numbered, and a turn is taken by making the object of the next number:

    000000000017        taken; in it, until when it counts if its writer says no more
    000000000017.over   given back

Whoever made the highest number has the turn. The one before it is removed, so somebody slow may make a number that
had been taken already: a second look shows that it is not the highest.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dualsight.errors import ImageError, StoreError
from dualsight.image.object_store import file_system, is_address, told

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

WAIT_S = 600.0  # for another writer's turn to end
TURN_S = 300.0  # of a writer in an object store that says no more; a commit takes seconds
_LOCK = ".writing.lock"
_PAUSE_S = 0.2


@contextmanager
def writing(place: Path | str) -> Generator[None, None, None]:
    """A turn at writing. Raises StoreError where nothing can be written, or another writer does not let go."""
    if isinstance(place, str) and is_address(place):
        with _object_turn(place):
            yield
    else:
        with _folder_turn(Path(place)):
            yield


@contextmanager
def _folder_turn(folder: Path) -> Generator[None, None, None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(folder / _LOCK, timeout=WAIT_S, isolation_level=None)
        with closing(lock):
            lock.execute("BEGIN EXCLUSIVE")
            yield
    except (OSError, sqlite3.OperationalError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]  # a library's own have but a text
        raise StoreError(f"{folder}: cannot be written ({reason})") from error


@contextmanager
def _object_turn(address: str) -> Generator[None, None, None]:
    files, path = file_system(address)
    turns = f"{path}/{_LOCK}"
    try:
        number = _taken(files, turns, address)
        try:
            yield
        finally:
            with told(address):
                files.pipe_file(f"{turns}/{number:012}.over", b"")
    except ImageError as error:
        raise StoreError(f"{address}: cannot be written ({error.problem})", hint=error.hint) from error


def _taken(files: AbstractFileSystem, turns: str, address: str) -> int:
    """The number of a turn that is ours. Raises StoreError once the wait is over."""
    give_up = time.monotonic() + WAIT_S
    while time.monotonic() < give_up:
        with told(address):
            last, is_over = _last(files, turns)
            if is_over and _made(files, f"{turns}/{last + 1:012}"):
                if _last(files, turns)[0] == last + 1:
                    _remove_before(files, turns, last + 1)
                    return last + 1
                files.rm_file(f"{turns}/{last + 1:012}")  # somebody's from long ago: others have gone on
        time.sleep(_PAUSE_S)
    raise StoreError(f"{address}: another writer does not let go", hint=f"it has {TURN_S / 60:.0f} minutes at most")


def _last(files: AbstractFileSystem, turns: str) -> tuple[int, bool]:
    """The highest number, 0 for none, and whether that turn is over."""
    names = _names(files, turns)
    last = max((int(name[:12]) for name in names), default=0)
    if last == 0 or f"{last:012}.over" in names:
        return last, True
    try:
        return last, float(files.cat_file(f"{turns}/{last:012}")) < time.time()
    except FileNotFoundError:  # given up between the two looks
        return last, False


def _made(files: AbstractFileSystem, path: str) -> bool:
    """Whether we are the first to make this object."""
    try:
        files.pipe_file(path, f"{time.time() + TURN_S}".encode(), mode="create")
    except FileExistsError:
        return False
    return True


def _remove_before(files: AbstractFileSystem, turns: str, number: int) -> None:
    for name in _names(files, turns):
        if int(name[:12]) < number:
            with suppress(FileNotFoundError):
                files.rm_file(f"{turns}/{name}")


def _names(files: AbstractFileSystem, turns: str) -> list[str]:
    try:
        found = [str(name).rpartition("/")[2] for name in files.ls(turns, detail=False)]
    except FileNotFoundError:
        return []
    return [name for name in found if re.fullmatch(r"\d{12}(\.over)?", name)]
