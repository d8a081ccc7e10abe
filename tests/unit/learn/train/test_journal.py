"""What happened is kept as it happens, and begins where a run goes on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, Any

import pytest

from dualsight.errors import MissingExtra
from dualsight.learn.train.journal import Journal, read_figures, read_lines
from dualsight.learn.train.loop import Step
from dualsight.learn.train.measure import Figures


def write(journal: Journal, first: int, last: int) -> None:
    for index in range(first, last):
        journal.add_step(Step(index, 2.0 / (index + 1), 1e-4, 2.0, 1.0), 0.5)
    journal.close()


def test_lines_after_the_state_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    journal = Journal(file, done=0, tensorboard=None)
    figures = Figures(pairs=3, mean_auc=0.9, accuracy=1.0, aucs=(("mass", 0.9),))
    journal.add_figures(0, figures)
    write(journal, 0, 5)
    with file.open("a") as cut_off:
        cut_off.write('{"step": 6, "los')
    write(Journal(file, done=3, tensorboard=None), 3, 6)
    assert [line["step"] for line in read_lines(file)] == [0, 1, 2, 3, 4, 5, 6]
    assert read_figures(file) == [(0, figures)]
    Journal(file, done=0, tensorboard=None).close()
    assert read_lines(file) == []


def test_tensorboard_has_the_same(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write(Journal(tmp_path / "metrics.jsonl", done=0, tensorboard=tmp_path / "board"), 0, 3)
    found = EventAccumulator(str(tmp_path / "board"))
    found.Reload()
    assert [(event.step, event.value) for event in found.Scalars("train/loss")] == [
        (1, 2.0),
        (2, 1.0),
        (3, pytest.approx(2 / 3)),
    ]


def test_without_tensorboard_no_file_is_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[IO[Any]] = []
    open_path = Path.open

    def keep(path: Path, *arguments: Any, **options: Any) -> IO[Any]:
        opened.append(open_path(path, *arguments, **options))
        return opened[-1]

    monkeypatch.setattr(Path, "open", keep)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match="tensorboard"):
        Journal(tmp_path / "metrics.jsonl", done=0, tensorboard=tmp_path / "board")
    assert all(file.closed for file in opened)
