from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dualsight.engine.cache import cache_folder, kept, key_of
from dualsight.errors import EngineError, OutputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUALSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(folder: Path) -> None:
    (folder / "file").write_text("made")


def test_it_is_made_once() -> None:
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        write(folder)

    first, second = kept("key", make), kept("key", make)
    assert first == second == cache_folder() / "engines" / "key"
    assert (first / "file").read_text() == "made"
    assert len(calls) == 1


def test_threads_that_want_it_at_once_get_one() -> None:
    calls: list[Path] = []
    barrier = threading.Barrier(4)

    def make(folder: Path) -> None:
        calls.append(folder)
        write(folder)

    def want() -> None:
        barrier.wait()
        kept("key", make)

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_what_fails_leaves_nothing(cache: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise EngineError("no")

    with pytest.raises(EngineError):
        kept("key", fail)
    assert [path.name for path in (cache / "engines").iterdir() if path.is_dir()] == []
    kept("key", write)


def test_a_process_that_was_killed_leaves_no_folder_under_the_name(cache: Path) -> None:
    script = """
import os, sys
from dualsight.engine.cache import kept
def make(folder):
    (folder / "file").write_text("half")
    os.kill(os.getpid(), 9)
kept("key", make)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    assert not (cache / "engines" / "key").exists()
    assert (kept("key", write) / "file").read_text() == "made"
    assert [path.name for path in (cache / "engines").iterdir() if path.is_dir()] == ["key"]  # the half one is gone


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DUALSIGHT_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be written") as caught:
        kept("key", write)
    assert "DUALSIGHT_CACHE" in caught.value.hint


def test_keys_tell_facts_apart() -> None:
    assert key_of("a", "bc") == key_of("a", "bc") != key_of("ab", "c")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_others_that_share_the_cache_may_read_it() -> None:
    assert stat.S_IMODE(kept("key", write).stat().st_mode) == 0o755
