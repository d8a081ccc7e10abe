"""Units → their vectors, on a Ray cluster, in order; what a lost worker had in hand is done again.

    units ──tasks of a few──▶ openers ──pictures──▶ encoders ──vectors──▶ outcomes, as in one process
                                 a core each          a GPU each, or several cores

The driver, which is this file, hands out tasks and keeps their order; pictures go from worker to worker, and only
vectors come here. A worker that is lost (killed, or its machine gone) is replaced, and the task that was with it
begins anew. A task that loses its workers again and again has a file in it that does that: its units are then tried
one by one, and that file fails alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from dualsight import __version__
from dualsight.errors import StoreError, UnreadableImage
from dualsight.image.source import Item
from dualsight.store.content import Unit, absolute
from dualsight.store.embed_units import Embeddings, EmbedUnits, Known, Outcome, Records, Unreached, outcomes
from dualsight.store.ray.cluster import Cluster, Plan, joined, plan
from dualsight.store.ray.crew import Crew, Role, Worker
from dualsight.store.ray.work import Encoder, Job, Opener, Progress, load_on, sorted_hashes
from dualsight.store.settings import Settings
from dualsight.task.embed import Embedded, Failed
from dualsight.task.model import Model

UNITS = 32
"""Of one task; of series and studies one, since each may be a volume in memory."""
ATTEMPTS = 3
_AHEAD = 8  # tasks, for each opener, that may be under way or done behind the first
_IN_HAND = 2  # messages that an encoder has at a time: one to compute, one on its way


def embed_on_cluster(
    cluster: Cluster, model: Model, where: str | Path | None, settings: Settings, key: bytes | None
) -> EmbedUnits:
    """Embeds on a cluster. where: what `model` was loaded from; without it, the weight file of its checkpoint.

    Raises StoreError for a model that no other machine could load.
    """
    where = where or model.checkpoint.weights
    if where is None:
        raise StoreError("a model that is in no file cannot be loaded on a cluster", hint="save its checkpoint")
    place = Path(where).absolute() if Path(where).exists() else where
    preprocessing = model.config.preprocessing
    job = Job(preprocessing=preprocessing, reading=settings.reading, key=key, batch_size=settings.batch_size)
    return embed_on_ray(cluster, partial(load_on, place, model.engine.precision), model.fingerprint, job)


def embed_on_ray(cluster: Cluster, load: Callable[[str], Model], fingerprint: str, job: Job) -> EmbedUnits:
    """Embeds on a cluster.

    load: the model on a device ("cpu", "cuda"); called by each encoder, and what it gives must have `fingerprint`.
    Raises MissingExtra, EngineError, and what a worker raises that is no picture's fault.
    """

    def embed(units: Iterable[Unit], known: set[str]) -> Generator[Outcome, None, None]:
        with joined(cluster) as ray:
            crew = Crew(ray)
            try:
                seats = plan(ray.nodes(), cluster.encoder_cores)
                work = _Work(crew, seats, units)
                work.hire(seats, job, ray.put(sorted_hashes(known)), load, fingerprint)
                for outcome in work.outcomes():
                    yield _checked(outcome, known)
            finally:
                crew.dismiss()

    return embed


def _checked(outcome: Outcome, known: set[str]) -> Outcome:
    """The same, but for content that an earlier unit of this run has brought: no worker knows of the others'."""
    if not isinstance(outcome, Embeddings):
        return outcome
    if outcome.content_hash in known:
        return Known(unit=outcome.unit, content_hash=outcome.content_hash)
    known.add(outcome.content_hash)
    return outcome


@dataclass(slots=True, eq=False)
class _Attempt:
    """What has come of a task so far. messages: results of each message of its opener, None while they are encoded."""

    records: Records = field(default_factory=deque)
    messages: list[list[Embedded | Failed] | None] = field(default_factory=list)
    is_read: bool = False


@dataclass(slots=True, eq=False)
class _Task:
    """Some units in a row."""

    units: Sequence[Unit]
    n_attempts: int = 0
    attempt: _Attempt = field(default_factory=_Attempt)
    has_failed: bool = False

    @property
    def is_done(self) -> bool:
        return self.has_failed or (self.attempt.is_read and None not in self.attempt.messages)

    def outcomes(self) -> Iterator[Outcome]:
        if self.has_failed:
            (unit,) = self.units
            hint = "the file is probably damaged, or needs more memory than there is"
            error = UnreadableImage("each process that opened it ended", source=unit.name, hint=hint)
            return iter([Unreached(unit=unit, error=error)])
        return outcomes(self.attempt.records, chain.from_iterable(filter(None, self.attempt.messages)))


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """Pictures on their way from an opener to an encoder. place: of their results in the attempt."""

    task: _Task
    attempt: _Attempt
    place: int
    pictures: Any
    opener: Worker


class _Work:
    """Tasks under way, and the workers that are free."""

    def __init__(self, crew: Crew, seats: Plan, units: Iterable[Unit]) -> None:
        self._crew = crew
        self._portions = _portions(units)
        self._max_tasks = _AHEAD * len(seats.openers)
        self._tasks: deque[_Task] = deque()  # in order, until their outcomes are taken
        self._to_do: deque[_Task] = deque()  # those of them that are with no worker
        self._messages: deque[_Message] = deque()  # not with an encoder yet
        self._openers: list[Worker] = []  # idle
        self._encoders: list[Worker] = []

    def hire(self, seats: Plan, job: Job, known: Any, load: Callable[[str], Model], fingerprint: str) -> None:
        """All workers. known: a reference to the hashes that the table has."""
        opener = Role(made_of=(Opener, (job, known)), start=(__version__,), ready=self._openers.append)
        for seat in seats.encoders:
            on_device = partial(load, "cuda" if seat.gpus else "cpu")
            encoder = Role(
                made_of=(Encoder, (on_device, job.batch_size)), start=(fingerprint,), ready=self._encoders.append
            )
            self._crew.hire(encoder, seat)
        for seat in seats.openers:
            self._crew.hire(opener, seat)

    def outcomes(self) -> Iterator[Outcome]:
        """What became of the units, in order."""
        while True:
            self._take_units()
            self._hand_out()
            if not self._tasks:
                return
            if self._tasks[0].is_done:
                yield from self._tasks.popleft().outcomes()
            else:
                self._crew.settle()

    def _hand_out(self) -> None:
        """Tasks to idle openers, pictures to encoders that have room for them."""
        while self._messages and (encoder := self._free_encoder()) is not None:
            message = self._messages.popleft()
            if message.attempt is message.task.attempt:
                then = partial(self._encoded, message)
                self._crew.ask(encoder, "encode", message.pictures, then=then)
            self._go_on(message.task, message.attempt, message.opener)
        while self._openers and self._to_do:
            task = self._to_do.popleft()
            task.n_attempts += 1
            task.attempt = _Attempt()
            opener = self._openers.pop()
            then = partial(self._opened, task, task.attempt, opener)
            self._crew.ask(opener, "open", task.units, then=then, n_answers=2)

    def _free_encoder(self) -> Worker | None:
        self._encoders[:] = [encoder for encoder in self._encoders if not encoder.is_lost]
        least = min(self._encoders, key=lambda encoder: encoder.in_hand, default=None)
        return least if least is not None and least.in_hand < _IN_HAND else None

    def _take_units(self) -> None:
        """More tasks, while few enough wait for the first to be done."""
        while len(self._tasks) < self._max_tasks and (units := next(self._portions, None)) is not None:
            task = _Task(units)
            self._tasks.append(task)
            self._to_do.append(task)

    def _opened(
        self, task: _Task, attempt: _Attempt, opener: Worker, progress: Progress | None, others: Sequence[Any]
    ) -> None:
        """An opener's message: its pictures wait for an encoder, and it for them to be taken."""
        if progress is None:
            self._begin_anew(task, attempt)
            return
        attempt.records += progress.records
        attempt.is_read = progress.is_last
        if progress.n_pictures:
            place = len(attempt.messages)
            attempt.messages.append(None)
            self._messages.append(_Message(task, attempt, place, others[0], opener))
        else:
            self._go_on(task, attempt, opener)

    def _go_on(self, task: _Task, attempt: _Attempt, opener: Worker) -> None:
        """What an opener does next."""
        if attempt is task.attempt and not attempt.is_read:
            then = partial(self._opened, task, attempt, opener)
            self._crew.ask(opener, "more", then=then, n_answers=2)
        elif not opener.is_lost:
            self._openers.append(opener)

    def _encoded(self, message: _Message, results: list[Embedded | Failed] | None, others: Sequence[Any]) -> None:
        if results is None:
            self._begin_anew(message.task, message.attempt)
        else:
            message.attempt.messages[message.place] = results

    def _begin_anew(self, task: _Task, attempt: _Attempt) -> None:
        """A task whose worker was lost: once more, then its units one by one, then no more."""
        if attempt is not task.attempt:  # it has already
            return
        task.attempt = _Attempt()
        if task.n_attempts < ATTEMPTS:
            self._to_do.append(task)
        elif len(task.units) == 1:
            task.has_failed = True
        else:
            parts = [_Task([unit]) for unit in task.units]
            self._tasks = deque(chain.from_iterable(parts if one is task else [one] for one in self._tasks))
            self._to_do.extend(parts)


def _portions(units: Iterable[Unit]) -> Iterator[Sequence[Unit]]:
    """The units as tasks, in order."""
    some: list[Unit] = []
    for unit in units:
        if some and not (isinstance(unit, Item) and len(some) < UNITS):
            yield some
            some = []
        some.append(absolute(unit))
        if not isinstance(unit, Item):
            yield some
            some = []
    if some:
        yield some
