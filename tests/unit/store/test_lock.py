"""Turns at writing in an object store, which a memory of fsspec's stands in for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from dualsight.errors import StoreError
from dualsight.store import lock
from dualsight.store.lock import writing

PLACE = "memory://bucket/index"
TURNS = "/bucket/index/.writing.lock"


@pytest.fixture(autouse=True)
def store(bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> fsspec.AbstractFileSystem:
    monkeypatch.setattr(lock, "_PAUSE_S", 0.001)
    one_call = threading.RLock()  # a store's calls are whole; those of a memory that several threads use are not
    for name in ("ls", "pipe_file", "cat_file", "rm_file"):
        monkeypatch.setattr(bucket, name, _locked(getattr(bucket, name), one_call))
    return bucket


def _locked(call: Callable[..., Any], one_call: threading.RLock) -> Callable[..., Any]:
    def locked(*arguments: Any, **options: Any) -> Any:
        with one_call:
            return call(*arguments, **options)

    return locked


def turns(store: fsspec.AbstractFileSystem) -> list[str]:
    return sorted(name.rpartition("/")[2] for name in store.ls(TURNS, detail=False))


def test_turns_follow_each_other(store: fsspec.AbstractFileSystem) -> None:
    for number in (1, 2, 3):
        with writing(PLACE):
            assert turns(store)[-1] == f"{number:012}"
    assert turns(store) == [f"{3:012}", f"{3:012}.over"]


def test_one_at_a_time(store: fsspec.AbstractFileSystem) -> None:
    inside, most, n_done = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, n_done
        for _ in range(20):
            with writing(PLACE):
                inside += 1
                most = max(most, inside)
                inside -= 1
                n_done += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, n_done) == (1, 80)


def test_a_killed_writers_turn_ends_by_itself(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "WAIT_S", 0.05)
    store.pipe_file(f"{TURNS}/{7:012}", b"9e12")  # until long after
    with pytest.raises(StoreError, match="another writer does not let go"), writing(PLACE):
        pass
    store.pipe_file(f"{TURNS}/{7:012}", b"1e9")  # until 2001
    with writing(PLACE):
        assert turns(store) == [f"{8:012}"]


def test_somebody_slow_does_not_take_a_number_again(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen turn 1 over; meanwhile turn 2 was taken and removed, and turn 3 is another's."""
    looks = iter([(1, True)])
    look = lock._last
    monkeypatch.setattr(lock, "_last", lambda files, path: next(looks, None) or look(files, path))
    monkeypatch.setattr(lock, "WAIT_S", 0.05)
    store.pipe_file(f"{TURNS}/{3:012}", b"9e12")
    with pytest.raises(StoreError, match="another writer"), writing(PLACE):
        pass
    assert turns(store) == [f"{3:012}"]


def test_a_turn_is_given_back_after_an_error(store: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(KeyError), writing(PLACE):
        raise KeyError
    with writing(PLACE):
        assert turns(store)[-1] == f"{2:012}"


def test_only_the_first_makes_a_number(store: fsspec.AbstractFileSystem) -> None:
    assert lock._made(store, f"{TURNS}/{1:012}")
    before = store.cat_file(f"{TURNS}/{1:012}")
    assert not lock._made(store, f"{TURNS}/{1:012}")
    assert store.cat_file(f"{TURNS}/{1:012}") == before


def test_a_folders_turn_is_its_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "new" / "index"
    with writing(folder):
        monkeypatch.setattr(lock, "WAIT_S", 0.01)
        with pytest.raises(StoreError, match=r"index: cannot be written \(database is locked\)"), writing(str(folder)):
            pass
    with writing(folder):  # given back
        pass
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"file: cannot be written \(File exists\)"), writing(tmp_path / "file"):
        pass


def test_a_library_s_error_says_what_it_says(tmp_path: Path) -> None:
    problem = r"index: cannot be written \(lance error: no space\)$"
    with pytest.raises(StoreError, match=problem), writing(tmp_path / "index"):
        raise OSError("lance error: no space\nat some/file.rs:12")


def test_what_else_is_in_a_store_is_no_turn(store: fsspec.AbstractFileSystem) -> None:
    for name in ("000000000005.other", "12", "notes", "0000000000123"):
        store.pipe_file(f"{TURNS}/{name}", b"9e12")
    with writing(PLACE):
        assert f"{1:012}" in turns(store)
    assert len(turns(store)) == 6


def test_a_turn_says_until_when_it_counts(store: fsspec.AbstractFileSystem) -> None:
    with writing(PLACE):
        until = float(store.cat_file(f"{TURNS}/{1:012}"))
        assert lock.TURN_S - 5 < until - time.time() <= lock.TURN_S
        assert lock._last(store, TURNS) == (1, False)
    assert lock._last(store, TURNS) == (1, True)
    assert lock._last(store, "/bucket/none") == (0, True)


def test_a_store_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> bool:
        raise PermissionError("no")

    monkeypatch.setattr(lock, "_made", refuse)
    problem = r"cannot be written \(the store does not deliver \(PermissionError\)\)"
    with pytest.raises(StoreError, match=f"^{PLACE}: {problem}$") as caught, writing(PLACE):
        pass
    assert "credentials" in caught.value.hint
