"""A small table of results on stdout: as text, JSON or CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import typer

Value: TypeAlias = str | float | bool | None

WIDTH = 14  # of a column of text; the last one takes what it needs


def show_table(
    head: Mapping[str, Value], columns: Sequence[str], rows: Iterable[Sequence[Value]], *, as_json: bool, as_csv: bool
) -> None:
    """Rows of `columns`. JSON: an object with `head` and `results`; CSV: rows alone; text: `head` above, aligned."""
    if as_json:
        results = [dict(zip(columns, row, strict=True)) for row in rows]
        typer.echo(json.dumps({**head, "results": results}, ensure_ascii=False))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        for name, value in head.items():
            if value not in ("", None):
                typer.echo(f"{name.replace('_', ' ')}: {_text(value)}")
        for row in (columns, *rows):
            *aligned, last = (_text(value) for value in row)
            typer.echo("".join(f"{text:<{WIDTH}}  " for text in aligned) + last)


def _text(value: Value) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)
