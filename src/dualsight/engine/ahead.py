"""Work done before its reader asks for it: by several threads, in the stream's order, and never much of it.

    stream ──taken in order──▶ jobs, a thread each ──▶ results, read in the stream's order

What is worked on is none of this file's business.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# What a thread works with, from its start to its end: opened by the thread, closed by it.
Worker = AbstractContextManager[Callable[[T], Iterable[R]]]


LEAVE_S = 5.0
"""How long a thread is waited for when nobody reads any more. One that is stuck is left, and ends with the program."""


def work_ahead(
    stream: Iterable[T],
    open_worker: Callable[[], Worker[T, R]],
    *,
    threads: int,
    depth: int,
    interrupt: Callable[[], None] = lambda: None,
) -> Generator[R, None, None]:
    """What workers make of the items of `stream`, each any number of results; in the order of the items.

    `stream` is advanced by one thread at a time. At most `depth` of its items are in hand, that which is being read
    included, and at most `depth` results wait; one more where the item being read would otherwise come to a halt.
    What the stream or a worker raises is raised here, after the results before it. When the reader stops early,
    `interrupt` is called, and each thread ends after the result that it is working on. Nothing is started before the
    first result is asked for.
    """
    ahead = _Ahead(iter(stream), open_worker, min(threads, depth), depth)
    try:
        yield from ahead.results()
    finally:
        ahead.stop(interrupt)


@dataclass(slots=True, eq=False)
class _Job(Generic[R]):
    """An item that was taken from the stream: what there is of it so far."""

    results: deque[R] = field(default_factory=deque)
    error: BaseException | None = None
    is_done: bool = False


class _Ahead(Generic[T, R]):
    """The jobs between the stream and the reader; the first one is what is being read."""

    def __init__(
        self, stream: Iterator[T], open_worker: Callable[[], Worker[T, R]], max_threads: int, depth: int
    ) -> None:
        self._stream = stream
        self._open_worker = open_worker
        self._max_threads = max_threads
        self._depth = depth
        self._threads: list[threading.Thread] = []
        self._taking = threading.Lock()  # held while the stream is advanced
        self._changed = threading.Condition()  # guards all that follows
        self._jobs: deque[_Job[R]] = deque()
        self._n_ready = 0
        self._is_over = False  # nothing more comes from the stream
        self._is_stopped = False  # nobody reads any more

    def results(self) -> Iterator[R]:
        """The results, in order. Raises what the stream or a worker has raised."""
        self._start_thread()
        while (job := self._first_job()) is not None:
            while (result := self._next_of(job)) is not None:
                yield result[0]
            if job.error is not None:
                raise job.error

    def stop(self, interrupt: Callable[[], None]) -> None:
        """Ends the threads, and waits for them."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        interrupt()
        deadline = time.monotonic() + LEAVE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _first_job(self) -> _Job[R] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._is_over)
            return self._jobs[0] if self._jobs else None

    def _next_of(self, job: _Job[R]) -> tuple[R] | None:
        """The next result of the first job; None when it has no more, and another one is the first."""
        with self._changed:
            self._changed.wait_for(lambda: job.results or job.is_done)
            self._changed.notify_all()
            if job.results:
                self._n_ready -= 1
                return (job.results.popleft(),)
            self._jobs.popleft()
            return None

    def _start_thread(self) -> None:
        """One more, while fewer run than may: a short stream needs few."""
        with self._changed:
            if len(self._threads) < self._max_threads and not self._is_stopped:
                thread = threading.Thread(target=self._run, name=f"dualsight-ahead-{len(self._threads)}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system gives no more threads
                    if not self._threads:
                        raise
                    self._max_threads = len(self._threads)
                else:
                    self._threads.append(thread)

    def _run(self) -> None:
        """What a thread does."""
        try:
            with self._open_worker() as work:
                while (taken := self._take()) is not None:
                    self._start_thread()
                    self._work_on(*taken, work)
        except BaseException as error:  # the worker could not be opened or closed: the reader is told
            with self._changed:
                self._add(_Job(error=error, is_done=True), is_last=True)

    def _take(self) -> tuple[T, _Job[R]] | None:
        """The next item, and where its results go; None if there is none, or none is wanted."""
        with self._taking:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopped or self._is_over or len(self._jobs) < self._depth)
                if self._is_stopped or self._is_over:
                    return None
            job: _Job[R] = _Job()
            taken: tuple[T, _Job[R]] | None = None
            try:
                taken = next(self._stream), job
            except StopIteration:
                job.is_done = True
            except BaseException as error:  # handed to the reader, who raises it
                job.is_done, job.error = True, error
            with self._changed:
                self._add(job, is_last=taken is None)
            return taken

    def _add(self, job: _Job[R], *, is_last: bool) -> None:
        self._jobs.append(job)
        self._is_over |= is_last
        self._changed.notify_all()

    def _work_on(self, item: T, job: _Job[R], work: Callable[[T], Iterable[R]]) -> None:
        try:
            for result in work(item):
                if not self._put(job, result):
                    break
        except BaseException as error:  # handed to the reader, who raises it
            job.error = error
        with self._changed:
            job.is_done = True
            self._changed.notify_all()

    def _put(self, job: _Job[R], result: R) -> bool:
        """False if nobody wants it any more."""

        def has_room() -> bool:
            # what is being read goes on even where later results fill the room, else all would wait for each other
            return self._n_ready < self._depth or (self._jobs[0] is job and not job.results)

        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or has_room())
            if self._is_stopped:
                return False
            job.results.append(result)
            self._n_ready += 1
            self._changed.notify_all()
            return True


class Stopwatch:
    """How long a reader has waited for a stream, in seconds. Written by one thread, read by any."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, stream: Iterable[R]) -> Iterator[R]:
        """The same stream; the time until each of its items is there is added."""
        iterator = iter(stream)
        while True:
            started = time.monotonic()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds += time.monotonic() - started
            yield item
