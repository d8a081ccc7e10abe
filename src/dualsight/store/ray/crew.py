"""The workers of a cluster: hired, asked, and replaced when they are lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dualsight.errors import EngineError
from dualsight.store.ray.cluster import Seat

STALL_S = 900.0  # without any answer of any worker
_FAILED_STARTS = 5  # in a row, until it is the machines' fault and not one machine's

Answer: TypeAlias = "Callable[[Any, Sequence[Any]], None]"
"""Told what a call gave (None: it is lost), and references to what else it gave, which stays where it is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Role:
    """A kind of worker. made_of: its class and arguments; start: arguments of its `start`; ready: told once it has."""

    made_of: tuple[type, tuple[Any, ...]]
    start: tuple[Any, ...]
    ready: Callable[[Worker], None]


@dataclass(slots=True, kw_only=True, eq=False)
class Worker:
    """One of them. actor: Ray's handle. in_hand: calls that it has not answered yet."""

    role: Role
    seat: Seat
    actor: Any
    in_hand: int = 0
    is_lost: bool = False


class Crew:
    """All workers, and what they were asked."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._workers: set[Worker] = set()
        self._calls: dict[Any, tuple[Worker, Answer, Sequence[Any]]] = {}
        self._failed_starts = 0

    def hire(self, role: Role, seat: Seat) -> None:
        """A new worker, on its machine or another one if that is gone; it is ready once it has started."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        kind, arguments = role.made_of
        actor_class = self._ray.remote(kind).options(
            num_cpus=seat.cpus,
            num_gpus=seat.gpus,
            max_restarts=0,  # replacing it is our own affair: its task has to begin anew
            scheduling_strategy=NodeAffinitySchedulingStrategy(seat.node, soft=True),
        )
        worker = Worker(role=role, seat=seat, actor=actor_class.remote(*arguments))
        self._workers.add(worker)

        def started(answer: Any, _: Sequence[Any]) -> None:
            self._failed_starts = 0 if answer else self._failed_starts + 1
            if self._failed_starts >= _FAILED_STARTS:
                raise EngineError("the workers of the Ray cluster end as soon as they start", hint="see Ray's own logs")
            if answer:
                role.ready(worker)

        self.ask(worker, "start", *role.start, then=started)

    def ask(self, worker: Worker, method: str, *arguments: Any, then: Answer, n_answers: int = 1) -> None:
        """Calls a method of a worker; `then` is told the first of what it gives, from within `settle`."""
        found = getattr(worker.actor, method).options(num_returns=n_answers).remote(*arguments)
        first, *others = found if n_answers > 1 else [found]
        worker.in_hand += 1
        self._calls[first] = (worker, then, others)

    def settle(self) -> None:
        """Waits until some calls are answered, and passes that on. Raises what a worker has raised, and EngineError."""
        ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=STALL_S)
        if not ready:
            raise EngineError(f"no worker of the Ray cluster has answered for {STALL_S / 60:.0f} minutes")
        for call in ready:
            worker, then, others = self._calls.pop(call)
            worker.in_hand -= 1
            then(self._answer(worker, call), others)

    def dismiss(self) -> None:
        """Ends all workers."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        self._workers.clear()
        self._calls.clear()

    def _answer(self, worker: Worker, call: Any) -> Any:
        """What a call gave; None where the worker, or what it was to be given, is lost."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(call)
        except errors.RayTaskError as error:
            if not isinstance(error.cause, errors.RayError):
                raise error.cause from error
        except errors.RayError:
            self._replace(worker)
        return None

    def _replace(self, worker: Worker) -> None:
        if not worker.is_lost:
            worker.is_lost = True
            self._workers.discard(worker)
            self._ray.kill(worker.actor)  # it may just be out of reach
            self.hire(worker.role, worker.seat)
