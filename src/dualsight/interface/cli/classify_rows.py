"""Classifications on stdout, one by one as they come: as text, JSON or CSV."""

from __future__ import annotations

import csv
import json
import sys
from itertools import islice
from typing import Any, Protocol

import typer

from dualsight.task.classify import Classification
from dualsight.task.embed import Failed
from dualsight.task.model import Model

BAR_WIDTH = 20  # characters of probability 1


class Rows(Protocol):
    """Where results go."""

    def add(self, result: Classification) -> None:
        """One picture's probabilities."""

    def fail(self, failed: Failed) -> None:
        """One picture without; stderr has said so."""

    def close(self) -> None:
        """No more will come."""


class TextRows:
    """A block a picture: the probability, its bar, the label."""

    def __init__(self, top: int | None, *, frames: bool) -> None:
        self.top = top
        self.frames = frames  # a block stands for a frame, which is then named

    def add(self, result: Classification) -> None:
        """Prints the block."""
        typer.echo(f"{result.source}, frame {result.frame_index}" if self.frames else result.source)
        for label, probability in islice(result.as_dict().items(), self.top):
            typer.echo(f"  {probability:.3f}  {'█' * round(probability * BAR_WIDTH):<{BAR_WIDTH}}  {label}")
        if result.meta.note:
            typer.echo(f"  note: {result.meta.note}")

    def fail(self, failed: Failed) -> None:
        """Nothing to print."""

    def close(self) -> None:
        """Nothing to print."""


class JsonRows:
    """One document; its `results` are written as they come."""

    def __init__(self, model: Model, multilabel: bool, top: int | None) -> None:
        self.top = top
        self.any = False
        head = {"model": model.name, "notice": model.notice, "engine": model.engine.name, "multilabel": multilabel}
        sys.stdout.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "results": [')

    def add(self, result: Classification) -> None:
        """{source, frame_index, window, note, probabilities: {label: probability, falling}}."""
        self._write(
            {
                "source": result.source,
                "frame_index": result.frame_index,
                "window": result.meta.window,
                "note": result.meta.note,
                "probabilities": dict(islice(result.as_dict().items(), self.top)),
            }
        )

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
    """A line a label: source, frame_index, rank, label, probability."""

    def __init__(self, top: int | None) -> None:
        self.top = top
        self.writer = csv.writer(sys.stdout, lineterminator="\n")
        self.writer.writerow(["source", "frame_index", "rank", "label", "probability"])

    def add(self, result: Classification) -> None:
        """The picture's lines, by falling probability; frame_index is empty where they stand for a whole file."""
        frame = "" if result.frame_index is None else result.frame_index
        for rank, (label, probability) in enumerate(islice(result.as_dict().items(), self.top), start=1):
            self.writer.writerow([result.source, frame, rank, label, probability])
        sys.stdout.flush()

    def fail(self, failed: Failed) -> None:
        """No line."""

    def close(self) -> None:
        """Nothing to write."""
