"""What happened at each step, kept while it happens: metrics.jsonl, and TensorBoard's own file where wanted.

{"step": 1, "loss": 1.93, "learning_rate": 2e-06, …}
{"step": 250, "validation": {"mean_auc": 0.93, …}}
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dualsight.errors import MissingExtra
from dualsight.learn.train.loop import Step
from dualsight.learn.train.measure import Figures


class Journal:
    """The lines of one run, up to the step that it goes on from; one process writes it."""

    def __init__(self, file: Path, *, done: int, tensorboard: Path | None) -> None:
        kept = [line for line in read_lines(file) if done and line["step"] <= done]
        part = file.with_name(f".{file.name}.part")
        part.write_text("".join(json.dumps(line) + "\n" for line in kept))
        part.replace(file)
        self.board = None if tensorboard is None else _board(tensorboard, done)  # first: it may not be installed
        self.file = file.open("a")

    def add_step(self, step: Step, seconds: float) -> None:
        """One step: how it went, and how long it took."""
        values = {"loss": step.loss, "learning_rate": step.learning_rate, "logit_scale": step.logit_scale}
        values |= {"gradient_norm": step.gradient_norm, "seconds": round(seconds, 4)}
        self._write({"step": step.index + 1, **values}, "train", values, step.index + 1)

    def add_figures(self, done: int, figures: Figures) -> None:
        """What was measured after so many steps."""
        values = {key: value for key, value in asdict(figures).items() if isinstance(value, float)}
        self._write({"step": done, "validation": asdict(figures)}, "validation", values, done)

    def close(self) -> None:
        """Nothing more will come."""
        self.file.close()
        if self.board is not None:
            self.board.close()

    def _write(self, line: dict[str, Any], group: str, values: dict[str, float], step: int) -> None:
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        if self.board is not None:
            for key, value in values.items():
                self.board.add_scalar(f"{group}/{key}", value, step)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The lines there are; a last one that was cut off is none."""
    if not file.exists():
        return []
    lines: list[dict[str, Any]] = []
    for line in file.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def read_figures(file: Path) -> list[tuple[int, Figures]]:
    """What was measured, with the steps done before."""
    found: list[tuple[int, Figures]] = []
    for line in read_lines(file):
        if "validation" in line:
            values = dict(line["validation"])
            values["aucs"] = tuple((label, auc) for label, auc in values["aucs"])
            found.append((line["step"], Figures(**values)))
    return found


def _board(folder: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtra("`tensorboard: true` needs tensorboard", hint="pip install 'dualsight[train]'") from None
    return SummaryWriter(str(folder), purge_step=done + 1)
