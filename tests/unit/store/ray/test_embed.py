"""How tasks are given out and begun anew, with workers that live in this process and are lost as a test says."""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dualsight.checkpoint.layout import demo_folder
from dualsight.checkpoint.load import load_checkpoint
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.image.study import Series
from dualsight.store.content import Unit
from dualsight.store.embed_units import Embeddings, Known, Outcome, Unreached, embed_here
from dualsight.store.ray import embed as module
from dualsight.store.ray.cluster import Cluster, Plan, Seat
from dualsight.store.ray.crew import Answer, Role, Worker
from dualsight.store.ray.embed import ATTEMPTS, UNITS, _checked, _portions, _Work, embed_on_cluster
from dualsight.store.ray.work import Job, Opener, sorted_hashes
from dualsight.store.settings import Settings
from dualsight.task.embed import Embedded
from dualsight.task.model import Model

SEAT = Seat(node="here", cpus=1)
Loses = Callable[[str, Sequence[Any]], bool]


class CrewHere:
    """A crew that answers one call at a time. loses: whether the worker is lost over a call (method, arguments)."""

    def __init__(self, loses: Loses) -> None:
        self._loses = loses
        self._calls: deque[tuple[Worker, str, Sequence[Any], Answer]] = deque()
        self._actors: list[Any] = []

    @property
    def hired(self) -> int:
        return len(self._actors)

    def dismiss(self) -> None:
        for actor in self._actors:
            if isinstance(actor, Opener):
                actor.close()

    def hire(self, role: Role, seat: Seat) -> None:
        kind, arguments = role.made_of
        worker = Worker(role=role, seat=seat, actor=kind(*arguments))
        self._actors.append(worker.actor)
        assert worker.actor.start(*role.start)
        role.ready(worker)

    def ask(self, worker: Worker, method: str, *arguments: Any, then: Answer, n_answers: int = 1) -> None:
        worker.in_hand += 1
        self._calls.append((worker, method, arguments, then))

    def settle(self) -> None:
        worker, method, arguments, then = self._calls.popleft()
        worker.in_hand -= 1
        if worker.is_lost or self._loses(method, arguments):
            if not worker.is_lost:
                worker.is_lost = True
                self.hire(worker.role, worker.seat)
            then(None, ())
            return
        answer = getattr(worker.actor, method)(*arguments)
        then(answer[0], answer[1:]) if method in ("open", "more") else then(answer, ())


class Corner:
    """An engine that takes no time: the vector of a picture is its first pixels."""

    name, precision = "corner", "float32"

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return pixels[:, :, 0, :64].reshape(len(pixels), -1).copy()

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(load_checkpoint("demo"), Corner())


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """More pictures than one task has, the second of them again at the end."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(UNITS + 8):
        Image.fromarray(rng.integers(0, 255, (16, 16), np.uint8)).save(folder / f"{number:02}.png")
    found = [Item(name=path.name, content=path) for path in sorted(folder.iterdir())]
    return [*found, Item(name="again.png", content=found[1].content)]


def work(model: Model, units: Sequence[Unit], loses: Loses) -> tuple[list[Outcome], CrewHere]:
    crew, seats = CrewHere(loses), Plan(openers=(SEAT, SEAT), encoders=(SEAT,))
    driver = _Work(crew, seats, iter(units))  # type: ignore[arg-type]
    job = Job(preprocessing=model.config.preprocessing, reading=Reading(), key=None, batch_size=8)
    driver.hire(seats, job, sorted_hashes(set()), lambda device: model, model.fingerprint)
    known: set[str] = set()
    try:
        return [_checked(outcome, known) for outcome in driver.outcomes()], crew
    finally:
        crew.dismiss()


def check_equal(outcomes: Sequence[Outcome], expected: Sequence[Outcome]) -> None:
    assert [(type(one), one.unit.name) for one in outcomes] == [(type(one), one.unit.name) for one in expected]
    for one, other in zip(outcomes, expected, strict=True):
        if isinstance(one, Embeddings) and isinstance(other, Embeddings):
            assert one.content_hash == other.content_hash
            vectors = [[r.vector for r in unit.results if isinstance(r, Embedded)] for unit in (one, other)]
            np.testing.assert_array_equal(vectors[0], vectors[1])


def test_nothing_lost_is_as_in_one_process(model: Model, items: list[Item]) -> None:
    outcomes, crew = work(model, items, lambda method, arguments: False)
    check_equal(outcomes, list(embed_here(model, Settings(), None)(items, set())))
    assert isinstance(outcomes[-1], Known) and crew.hired == 3


@pytest.mark.parametrize("lost", ["open", "more", "encode"])
@pytest.mark.parametrize("time", [1, 2])
def test_a_lost_worker_loses_nothing(model: Model, items: list[Item], lost: str, time: int) -> None:
    calls = Counter[str]()

    def loses(method: str, arguments: Sequence[Any]) -> bool:
        calls[method] += 1
        return method == lost and calls[method] == time

    outcomes, crew = work(model, items, loses)
    check_equal(outcomes, list(embed_here(model, Settings(), None)(items, set())))
    assert crew.hired == 4


def test_a_file_that_ends_its_workers_fails_alone(model: Model, items: list[Item]) -> None:
    def loses(method: str, arguments: Sequence[Any]) -> bool:
        return method == "open" and any(unit.name == "03.png" for unit in arguments[0])

    outcomes, crew = work(model, items, loses)
    expected: list[Outcome] = list(embed_here(model, Settings(), None)(items, set()))
    assert isinstance(outcomes[3], Unreached) and "each process that opened it ended" in str(outcomes[3].error)
    check_equal(outcomes[:3] + outcomes[4:], expected[:3] + expected[4:])
    assert crew.hired == 3 + 2 * ATTEMPTS


def test_no_units(model: Model) -> None:
    assert work(model, [], lambda method, arguments: False)[0] == []


def test_a_series_is_a_task_of_its_own_and_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    item = Item(name="a", content=Path("a"))
    series = Series(name="s", items=(item, item))
    tasks = list(_portions([item, series, series, *[item] * (UNITS + 1)]))
    assert [len(task) for task in tasks] == [1, 1, 1, UNITS, 1]
    assert tasks[0][0].content == tmp_path / "a" and tasks[1][0].items[0].content == tmp_path / "a"  # type: ignore[union-attr]


def test_encoders_load_the_weight_file_that_was_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("config.yaml", "model.safetensors"):
        shutil.copyfile(demo_folder() / name, tmp_path / name)
    (tmp_path / "model.safetensors").rename(tmp_path / "tuned.bin")
    monkeypatch.setattr(module, "embed_on_ray", lambda cluster, load, fingerprint, job: load)
    model = Model(load_checkpoint(tmp_path / "tuned.bin"), Corner())
    load: Any = embed_on_cluster(Cluster(), model, None, Settings(), None)
    assert load.args == (tmp_path / "tuned.bin", "float32")
