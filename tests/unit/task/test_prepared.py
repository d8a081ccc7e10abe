from __future__ import annotations

import base64
import io
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dicom_files import dicom_bytes
from dualsight.engine import ahead as ahead_module
from dualsight.errors import ImageError, UnreadableImage
from dualsight.image.frame import Frame
from dualsight.image.limits import Limits
from dualsight.image.prepare import Preprocessing, resize
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.task import prepared as prepared_module
from dualsight.task.decoder import Decoder
from dualsight.task.prepared import Failed, Prepared, prepare_ahead, source_name
from picture_files import png

PREPROCESSING = Preprocessing(height=20, width=20, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
READING = Reading()
IN_THREADS, IN_PROCESSES = math.inf, 0.0
RNG = np.random.default_rng(3)
PICTURES = [RNG.integers(0, 256, (30 + i, 40, 3), dtype=np.uint8) for i in range(4)]
CT = dicom_bytes(RNG.integers(-1000, 1000, (40, 50), dtype=np.int16))
CINE = dicom_bytes(RNG.integers(0, 4096, (5, 40, 50), dtype=np.uint16))


def prepare(images: Any, patience_s: float, **options: Any) -> list[Prepared | Failed]:
    options = {"depth": 6, "workers": 3} | options
    return list(prepare_ahead(images, PREPROCESSING, READING, patience_s=patience_s, **options))


def no_process(*arguments: object) -> None:
    raise AssertionError("a process was started")


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are killed, as by a codec's crash, when they are given a file that is called so."""

    class Fragile(Decoder):
        def frames(self, content: Path | bytes, name: str) -> Iterator[Frame]:
            frames = super().frames(content, name)
            if "crash" in name:
                if "midway" in name:
                    yield next(frames)
                os.kill(self._process.pid, signal.SIGSEGV)
                self._process.wait()
            yield from frames

    monkeypatch.setattr(prepared_module, "Decoder", Fragile)


@pytest.mark.parametrize("patience_s", [IN_THREADS, IN_PROCESSES], ids=["threads", "processes"])
def test_every_kind_of_source_in_order(patience_s: float, tmp_path: Path) -> None:
    data = png(PICTURES[0])
    path = tmp_path / "picture"
    path.write_bytes(data)
    text = base64.b64encode(data).decode()
    images = [
        *(path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), text),
        *(f"data:image/png;base64,{text}", PICTURES[0], Image.fromarray(PICTURES[0])),
        *(Item(name="an item", content=path), Item(name="a member", content=lambda: data)),
        Frame(pixels=PICTURES[0], source="a frame"),
    ]
    found = prepare(iter(images), patience_s)
    expected = resize(PICTURES[0], PREPROCESSING)
    assert [item.index for item in found] == list(range(len(images)))
    for item, image in zip(found, images, strict=True):
        assert isinstance(item, Prepared)
        assert item.resized.dtype == np.uint8
        assert np.array_equal(item.resized, expected)
        assert (item.frame_index, item.n_frames) == (0, 1)
        if isinstance(image, str | Path | Item | Frame) and not str(image).startswith(("data:", text)):
            assert item.source == source_name(image, item.index)


@pytest.mark.parametrize("patience_s", [IN_THREADS, IN_PROCESSES], ids=["threads", "processes"])
def test_one_bad_picture_fails_alone(patience_s: float, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(png(PICTURES[1])[:-60])

    def gone() -> bytes:
        raise UnreadableImage("cannot be unpacked", source="member")

    images = [PICTURES[0], bad, CT, Item(name="member", content=gone), CINE[:-5000], object(), PICTURES[1]] * 3
    found = prepare(images, patience_s)
    kinds = ["".join("F" if isinstance(x, Failed) else "." for x in found if x.index == i) for i in range(len(images))]
    assert kinds == [".", "F", ".", "F", "...F", "F", "."] * 3
    failed = [item for item in found if isinstance(item, Failed)]
    assert [item.source for item in failed[:4]] == [str(bad), "member", "image 4", "image 5"]
    assert all(isinstance(item.error, ImageError) for item in failed)
    assert failed[2].error.frame == 3


@pytest.mark.parametrize("patience_s", [IN_THREADS, IN_PROCESSES], ids=["threads", "processes"])
def test_any_other_error_surfaces_as_itself(patience_s: float) -> None:
    broken = Reading(limits=Limits(file_bytes="many"))  # type: ignore[arg-type]  # a mistake
    stream = prepare_ahead([PICTURES[0], CT], PREPROCESSING, broken, depth=4, workers=2, patience_s=patience_s)
    assert isinstance(next(stream), Prepared)
    with pytest.raises(TypeError, match="'str'"):
        next(stream)


def test_processes_give_the_same_bits_as_threads() -> None:
    images = [CT, CINE, png(PICTURES[2])] * 4
    for ours, theirs in zip(prepare(images, IN_PROCESSES), prepare(images, IN_THREADS), strict=True):
        assert isinstance(ours, Prepared)
        assert isinstance(theirs, Prepared)
        assert np.array_equal(ours.resized, theirs.resized)
        for name in ("index", "source", "frame_index", "n_frames", "meta"):
            assert getattr(ours, name) == getattr(theirs, name)


def test_a_process_that_dies_fails_its_picture_alone(fragile: None) -> None:
    def item(name: str, data: bytes = CT) -> Item:
        return Item(name=name, content=lambda: data)

    long = dicom_bytes(np.arange(2000 * 4, dtype=np.uint16).reshape(2000, 2, 2))  # more than a pipe holds
    images = [item("a"), item("crash"), item("b"), item("crash midway", long), item("c"), item("d")]
    found = prepare(images, IN_PROCESSES, workers=1)
    sources = [("F" if isinstance(one, Failed) else ".") + one.source for one in found]
    assert list(dict.fromkeys(sources)) == [".a", "Fcrash", ".b", ".crash midway", "Fcrash midway", ".c", ".d"]
    assert len(sources) < 2000
    errors = [one.error for one in found if isinstance(one, Failed)]
    assert all(isinstance(error, UnreadableImage) and "signal 11" in str(error) for error in errors)


@pytest.mark.parametrize("as_frame", [False, True])
def test_an_owner_may_fill_the_same_buffer_again(as_frame: bool) -> None:
    def refilled() -> Iterator[NDArray[np.uint8] | Frame]:
        buffer = np.empty((400, 400, 3), np.uint8)
        for i in range(30):
            buffer[:] = i
            yield Frame(pixels=buffer, source="mine") if as_frame else buffer

    values = [int(item.resized[0, 0, 0]) for item in prepare(refilled(), IN_THREADS) if isinstance(item, Prepared)]
    assert values == list(range(30))


def test_file_objects_are_read_in_turn() -> None:
    class Slow(io.BytesIO):
        """Holds two pictures, one after the other."""

        n_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.n_read += 1
            return {1: png(PICTURES[0]), 3: png(PICTURES[1])}.get(self.n_read, b"")

    file = Slow()
    first, second = prepare([file, file], IN_THREADS)
    assert isinstance(first, Prepared)
    assert isinstance(second, Prepared)
    assert not np.array_equal(first.resized, second.resized)


def test_a_short_stream_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_module, "Decoder", no_process)
    assert len(list(prepare_ahead([CT] * 3, PREPROCESSING, READING, depth=4))) == 3


def test_processes_start_once_the_reader_has_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Counted(Decoder):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            started.append(self)

    monkeypatch.setattr(prepared_module, "Decoder", Counted)
    assert len(prepare([CT] * 40, 0.02, workers=2)) == 40
    assert 1 <= len(started) <= 2
    assert all(decoder.is_closed for decoder in started)


def test_what_is_in_memory_and_large_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_module, "Decoder", no_process)
    monkeypatch.setattr(prepared_module, "SENT_BYTES", len(CT) - 1)
    assert isinstance(prepare([CT], IN_PROCESSES)[0], Prepared)


def test_where_no_process_can_be_had_threads_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = prepare([CT] * 5, IN_PROCESSES, workers=1)
    assert [type(item) for item in found] == [Prepared] * 5
    assert [record.getMessage() for record in caplog.records] == [
        "pictures are decoded in threads: the system starts no process (No such file or directory)"
    ]


def test_a_reader_that_stops_early_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Kept(Decoder):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            started.append(self)

    monkeypatch.setattr(prepared_module, "Decoder", Kept)

    def endless() -> Iterator[bytes]:
        while True:
            yield CT

    stream = prepare_ahead(endless(), PREPROCESSING, READING, depth=4, workers=2, patience_s=IN_PROCESSES)
    next(stream)
    stream.close()
    assert started
    assert all(decoder._process.returncode is not None for decoder in started)


@pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped by a signal")
def test_a_reader_that_stops_early_does_not_wait_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Decoder):
        def frames(self, content: Path | bytes, name: str) -> Iterator[Frame]:
            if name == "stuck":
                os.kill(self._process.pid, signal.SIGSTOP)
            return super().frames(content, name)

    monkeypatch.setattr(prepared_module, "Decoder", Stuck)
    monkeypatch.setattr(ahead_module, "LEAVE_S", 60.0)
    images = [Item(name=name, content=lambda: CT) for name in ("good", "stuck", "stuck")]
    stream = prepare_ahead(images, PREPROCESSING, READING, depth=4, workers=2, patience_s=IN_PROCESSES)
    assert next(stream).source == "good"
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 30
