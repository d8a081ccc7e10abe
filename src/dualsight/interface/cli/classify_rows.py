"""Classifications on stdout, one by one as they come: as text, JSON or CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import typer

from dualsight.interface.cli.exits import FAILURE
from dualsight.interface.cli.result_row import COLUMNS, describe_origin, model_origin
from dualsight.interface.cli.stderr import show_error, show_progress
from dualsight.task.classify import Classification
from dualsight.task.embed import Failed
from dualsight.task.model import Model

if TYPE_CHECKING:
    from dualsight.learn.evaluate.thresholds import Thresholds

BAR_WIDTH = 20  # characters of probability 1


class Rows(Protocol):
    """Where results go."""

    def add(self, result: Classification) -> None:
        """One picture's probabilities."""

    def fail(self, failed: Failed) -> None:
        """One picture without; stderr has said so."""

    def close(self) -> None:
        """No more will come."""


def show_rows(results: Iterable[Classification | Failed], rows: Rows, what: str, *, total: int | None) -> None:
    """Prints results as they come; each failure also on stderr. What an error ends is a whole document all the same.

    Raises typer.Exit where one has failed, or where there was none.
    """
    done = failed = 0
    try:
        for item in show_progress(results, what, total=total, beside_output=True):
            if isinstance(item, Failed):
                failed += 1
                show_error(str(item.error), item.error.hint)
                rows.fail(item)
            else:
                done += 1
                rows.add(item)
    finally:
        rows.close()
    if not done and not failed:
        show_error("no pictures found")
    if failed or not done:
        raise typer.Exit(FAILURE)


class TextRows:
    """A block a picture: the probability, its bar, with thresholds the side of its own, the label."""

    def __init__(self, top: int | None, per: str, thresholds: Thresholds | None = None) -> None:
        self.top = top
        self.thresholds = thresholds
        self.per = per  # what a block stands for

    def add(self, result: Classification) -> None:
        """Prints the block."""
        typer.echo(f"{result.source}{self._part(result)}")
        for label, probability in islice(result.as_dict().items(), self.top):
            bar = f"{'█' * round(probability * BAR_WIDTH):<{BAR_WIDTH}}"
            typer.echo(f"  {probability:.3f}  {bar}  {self._side(label, probability)}{label}")
        if result.meta.note:
            typer.echo(f"  note: {result.meta.note}")

    def _side(self, label: str, probability: float) -> str:
        """`above`, `below` or a dash, as a column; nothing without thresholds."""
        return f"{self.thresholds.verdict(label, probability) or '–':<5}  " if self.thresholds else ""

    def _part(self, result: Classification) -> str:
        """Which part of its source, or how much around it, the result is about."""
        if self.per == "frame":
            return f", frame {result.frame_index}"
        if self.per == "image":
            return ""
        return f", {self.per} of {result.n_frames:,} {'frame' if result.n_frames == 1 else 'frames'}"

    def fail(self, failed: Failed) -> None:
        """Nothing to print."""

    def close(self) -> None:
        """Nothing to print."""


class JsonRows:
    """One document; its `results` are written as they come."""

    def __init__(self, model: Model, multilabel: bool, top: int | None, thresholds: Thresholds | None = None) -> None:
        self.top = top
        self.thresholds = thresholds
        self.any = False
        head = {**model_origin(model), "engine": model.engine.name, "multilabel": multilabel}
        sys.stdout.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "results": [')

    def add(self, result: Classification) -> None:
        """{source, frame_index and the other COLUMNS, probabilities: {label: probability, falling}}.

        With thresholds also {thresholds: {label: "above", "below", or null for a label without one}}.
        """
        row: dict[str, Any] = describe_origin(result)
        row["probabilities"] = dict(islice(result.as_dict().items(), self.top))
        if self.thresholds:
            row["thresholds"] = {label: self.thresholds.verdict(label, p) for label, p in row["probabilities"].items()}
        self._write(row)

    def fail(self, failed: Failed) -> None:
        """{source, error, hint}."""
        self._write({"source": failed.source, "error": failed.error.problem, "hint": failed.error.hint})

    def close(self) -> None:
        """Ends the document."""
        sys.stdout.write("\n]}\n")

    def _write(self, row: dict[str, Any]) -> None:
        sys.stdout.write((",\n" if self.any else "\n") + json.dumps(row, ensure_ascii=False))
        sys.stdout.flush()
        self.any = True


class CsvRows:
    """A line a label: source, frame_index, rank, label, probability, with thresholds its side, the rest of COLUMNS."""

    def __init__(self, top: int | None, thresholds: Thresholds | None = None) -> None:
        self.top = top
        self.thresholds = thresholds
        self.writer = csv.writer(sys.stdout, lineterminator="\n")
        side = ["threshold"] if thresholds else []
        self.writer.writerow([*COLUMNS[:2], "rank", "label", "probability", *side, *COLUMNS[2:]])

    def add(self, result: Classification) -> None:
        """The picture's lines, by falling probability; frame_index is empty where they stand for several frames."""
        origin = list(describe_origin(result).values())
        for rank, (label, probability) in enumerate(islice(result.as_dict().items(), self.top), start=1):
            side = [self.thresholds.verdict(label, probability)] if self.thresholds else []
            self.writer.writerow([*origin[:2], rank, label, probability, *side, *origin[2:]])
        sys.stdout.flush()

    def fail(self, failed: Failed) -> None:
        """No line."""

    def close(self) -> None:
        """Nothing to write."""
