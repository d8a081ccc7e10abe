"""Image sources → pictures of the encoder's size, made ahead of it, in order, one bad picture alone.

    sources ──taken in order──▶ threads ──open, resize──▶ Prepared | Failed
                                   └── in a process for each, once the encoder has waited

Threads begin at once and share memory, but a DICOM header is read under Python's lock, so two of them are hardly
faster than one, and they slow the encoder's own Python. Processes take half a second to start. So a stream begins
in threads, and goes on in processes where what is ready is not enough: a short one never pays for them, nor does one
whose encoder takes its time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from dualsight.engine.ahead import Stopwatch, work_ahead
from dualsight.engine.processor import n_cores
from dualsight.errors import ImageError
from dualsight.image.frame import Frame, FrameMeta
from dualsight.image.open import Source, read
from dualsight.image.prepare import Preprocessing, resize
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.image.study import Series, Study
from dualsight.task.decoder import Decoder, NoDecoder, UnexpectedEnd

PATIENCE_S = 1.0  # that the encoder waits, in all, before processes are started: twice what starting them takes
MAX_WORKERS = 16  # by default; each process holds some 75 MB
SENT_BYTES = 1 << 26  # a larger file in memory is not copied into another process

Images: TypeAlias = Source | Item | Series | Study | Iterable[Source | Item | Series | Study]
"""One picture, or any number of them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """One picture of the encoder's size; it has no vector yet.

    index: the position of its source in the stream. frame_index: from 0. resized: uint8 [h, w, 3], a quarter of what
    it is once normalised, so that little waits in memory.
    """

    index: int
    source: str
    frame_index: int
    n_frames: int
    meta: FrameMeta
    resized: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Failed:
    """A source that gave no embedding, and why."""

    index: int
    source: str
    error: ImageError


def prepare_ahead(
    images: Iterable[Source | Item | Series | Study],
    preprocessing: Preprocessing,
    reading: Reading,
    *,
    depth: int,
    workers: int | None = None,
    patience_s: float = PATIENCE_S,
) -> Generator[Prepared | Failed, None, None]:
    """Every frame of every source, in order; a source that fails half-way gives its good frames first.

    depth: frames that wait for the reader at most. workers: pictures that are opened at a time; by default as many as
    there are cores. patience_s: how long the reader waits, in all, before processes of their own open paths and bytes;
    infinity for never. What is no ImageError is raised here, in its place. Memory is `depth` frames, and for each
    worker what opening one file takes.
    """
    waited = Stopwatch()
    opened: list[_Worker] = []

    def open_worker() -> _Worker:
        opened.append(_Worker(preprocessing, reading, lambda: waited.seconds >= patience_s))
        return opened[-1]

    def interrupt() -> None:
        for worker in opened:
            worker.interrupt()

    n_threads = workers or min(n_cores(), MAX_WORKERS)
    tasks = _tasks(images, reading)
    with closing(work_ahead(tasks, open_worker, threads=n_threads, depth=depth, interrupt=interrupt)) as ahead:
        yield from waited.timed(ahead)


class Preparer:
    """The same for one stream after another, with one process for all of them: starting it takes half a second."""

    def __init__(self, preprocessing: Preprocessing, reading: Reading) -> None:
        self._reading = reading
        self._worker = _Worker(preprocessing, reading, lambda: True)

    def prepare_ahead(
        self, images: Iterable[Source | Item | Series | Study], *, depth: int
    ) -> Generator[Prepared | Failed, None, None]:
        """As the function of that name, by one worker; one stream at a time."""

        def open_worker() -> AbstractContextManager[Callable[[_Task], Iterator[Prepared | Failed]]]:
            return nullcontext(self._worker.prepare)

        ahead = work_ahead(_tasks(images, self._reading), open_worker, threads=1, depth=depth)
        is_over = False
        try:
            for picture in ahead:  # noqa: UP028 - `yield from` would close it before its worker is interrupted
                yield picture
            is_over = True
        finally:
            if not is_over:  # what it is doing, nobody wants any more
                self._worker.interrupt()
                ahead.close()
                self._worker.close()

    def close(self) -> None:
        """Ends the process; it also ends with this one, however that ends."""
        self._worker.close()


def as_stream(images: Images) -> Iterable[Source | Item | Series | Study]:
    """One picture as a stream of one; a stream as itself; an array [n, H, W, C] as its n pictures."""
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return images
    if isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike, np.ndarray)):
        return [cast("Source", images)]
    if hasattr(images, "read") or not isinstance(images, Iterable) or hasattr(images, "getbbox"):
        return [cast("Source | Item | Series | Study", images)]  # a file object, an item, a frame, a PIL image
    return images


def source_name(image: Source | Item | Series | Study, index: int) -> str:
    """What to call a source: the path, item or frame's own name that the user gave, else its position."""
    if isinstance(image, Frame):
        return image.source
    if isinstance(image, Item | Series | Study):
        return image.name
    if hasattr(image, "__fspath__"):
        return str(image)
    if isinstance(image, str) and len(image) < 512 and not image.startswith("data:"):
        return image
    return f"image {index}"


_Content: TypeAlias = Item | Series | Study | str | Path | bytes | Frame | ImageError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Task:
    """What one thread is given: a source that nobody else changes meanwhile, or why there is none."""

    index: int
    name: str
    content: _Content


def _tasks(images: Iterable[Source | Item | Series | Study], reading: Reading) -> Iterator[_Task]:
    """The sources in order. Arrays, Pillow images and file objects are opened here, one at a time, before the next
    source is asked for: their owner may fill the same buffer again, or read on in the same file.
    """
    for index, image in enumerate(images):
        name = source_name(image, index)
        if isinstance(image, Item | Series | Study | str | Path | bytes):
            yield _Task(index=index, name=name, content=image)
            continue
        try:
            for frame in read(image, reading, source=name):
                own = replace(frame, pixels=frame.pixels.copy()) if frame is image else frame
                yield _Task(index=index, name=name, content=own)
        except ImageError as error:
            yield _Task(index=index, name=name, content=error)


class _Worker:
    """Prepares one picture after another, for one thread: in the thread, or in a process when that is called for."""

    def __init__(self, preprocessing: Preprocessing, reading: Reading, wants_process: Callable[[], bool]) -> None:
        self._preprocessing = preprocessing
        self._reading = reading
        self._wants_process = wants_process
        self._decoder: Decoder | None = None
        self._has_no_decoder = False
        self._is_interrupted = False

    def __enter__(self) -> Callable[[_Task], Iterator[Prepared | Failed]]:
        return self.prepare

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        if self._decoder is not None:
            self._decoder.close()
        self._is_interrupted = False

    def interrupt(self) -> None:
        """Ends the process, whatever it is doing, one that is still starting included; for another thread."""
        self._is_interrupted = True
        if (decoder := self._decoder) is not None:
            decoder.interrupt()

    def prepare(self, task: _Task) -> Iterator[Prepared | Failed]:
        """The frames of one source, or what failed in it."""
        try:
            for frame in self._resized(task):
                if isinstance(frame, ImageError):  # of one file of a series: the rest goes on
                    yield Failed(index=task.index, source=frame.source, error=frame)
                    continue
                yield Prepared(
                    index=task.index,
                    source=frame.source,
                    frame_index=frame.frame_index,
                    n_frames=frame.n_frames,
                    meta=frame.meta,
                    resized=frame.pixels,
                )
        except ImageError as error:
            yield Failed(index=task.index, source=task.name, error=error)

    def _resized(self, task: _Task) -> Iterator[Frame | ImageError]:
        """Its frames, resized; those of a file by the process as far as it gets."""
        if isinstance(task.content, Series | Study):
            for frame in task.content.frames(self._reading):
                yield frame if isinstance(frame, ImageError) else self._smaller(frame)
            return
        content = _file_of(task.content)
        n_done = 0
        if _can_be_sent(content) and (decoder := self._running_decoder()) is not None:
            try:
                for frame in decoder.frames(content, task.name):
                    yield frame
                    n_done += 1
                return
            except UnexpectedEnd:
                pass  # here it surfaces as itself, unless it was the process's own
        if isinstance(content, ImageError):
            raise content
        for frame in islice(read(content, self._reading, source=task.name), n_done, None):
            yield self._smaller(frame)

    def _smaller(self, frame: Frame) -> Frame:
        return replace(frame, pixels=resize(frame.pixels, self._preprocessing, source=frame.source))

    def _running_decoder(self) -> Decoder | None:
        """The process, a new one where the last has ended; None where none is called for, or can be had."""
        if self._decoder is not None and self._decoder.is_closed:
            self._decoder = None
        if self._decoder is None and self._wants_process() and not self._has_no_decoder:
            try:
                self._decoder = Decoder(self._preprocessing, self._reading)
                if self._is_interrupted:
                    self._decoder.interrupt()
            except NoDecoder as reason:
                self._has_no_decoder = True
                _log.warning("pictures are decoded in threads: %s", reason)
        return self._decoder


def _file_of(content: Item | str | Path | bytes | Frame | ImageError) -> Path | str | bytes | Frame | ImageError:
    """The file's path or bytes, where it is one. Raises as an archive's member does."""
    if isinstance(content, Item):
        return content.load()
    if isinstance(content, str) and os.path.isfile(content):  # noqa: PTH113 - False for a text that can be no path
        return Path(content)
    return content


def _can_be_sent(content: object) -> TypeGuard[Path | bytes]:
    """Whether another process can open it."""
    return isinstance(content, Path) or (isinstance(content, bytes) and len(content) <= SENT_BYTES)
