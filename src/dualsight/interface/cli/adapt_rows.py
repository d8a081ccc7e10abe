"""Predictions of adapters on stdout: the rows of `classify`, and which thresholds each label reaches."""

from __future__ import annotations

import csv
import sys
from itertools import islice

import typer

from dualsight.interface.cli import classify_rows
from dualsight.interface.cli.result_row import COLUMNS, describe_origin
from dualsight.learn.adapt.adapter import Prediction
from dualsight.task.classify import Classification

FLAGS = ("above_youden", "above_sens90")
WORDS = {True: "above", False: "below", None: "–"}


class TextRows(classify_rows.TextRows):
    """A block a picture: the probability, both flags, the label."""

    def add(self, result: Classification) -> None:
        """Prints the block."""
        typer.echo(f"{result.source}{self._part(result)}")
        typer.echo("         youden  sens90")
        for (label, probability), (youden, sens90) in islice(_labels(result), self.top):
            typer.echo(f"  {probability:.3f}  {WORDS[youden]:<6}  {WORDS[sens90]:<6}  {label}")
        if result.meta.note:
            typer.echo(f"  note: {result.meta.note}")


class JsonRows(classify_rows.JsonRows):
    """One document; a result has above_youden and above_sens90 beside its probabilities, null without a threshold."""

    def add(self, result: Classification) -> None:
        """{…, probabilities: {label: probability, falling}, above_youden: {label: bool}, above_sens90: …}."""
        shown = list(islice(_labels(result), self.top))
        probabilities = dict(pair for pair, _ in shown)
        flags = {name: {pair[0]: flag[i] for pair, flag in shown} for i, name in enumerate(FLAGS)}
        self._write({**describe_origin(result), "probabilities": probabilities, **flags})


class CsvRows(classify_rows.CsvRows):
    """A line a label: source, frame_index, rank, label, probability, both flags, then the rest of COLUMNS."""

    def __init__(self, top: int | None) -> None:
        self.top = top
        self.writer = csv.writer(sys.stdout, lineterminator="\n")
        self.writer.writerow([*COLUMNS[:2], "rank", "label", "probability", *FLAGS, *COLUMNS[2:]])

    def add(self, result: Classification) -> None:
        """The picture's lines, by falling probability; a flag is empty without a threshold."""
        origin = list(describe_origin(result).values())
        for rank, ((label, probability), flags) in enumerate(islice(_labels(result), self.top), start=1):
            self.writer.writerow([*origin[:2], rank, label, probability, *flags, *origin[2:]])
        sys.stdout.flush()


def _labels(result: Classification) -> zip[tuple[tuple[str, float], tuple[bool | None, bool | None]]]:
    """((label, probability), (above_youden, above_sens90)) by falling probability."""
    if not isinstance(result, Prediction):
        raise TypeError(f"a {type(result).__name__} has no thresholds")
    return zip(result.as_dict().items(), zip(result.above_youden, result.above_sens90, strict=True), strict=True)
