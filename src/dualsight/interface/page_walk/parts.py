"""Small pieces of a page that several sections use. Every word that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from dualsight.interface.page_walk.figures import picture, signed
from dualsight.interface.words import by, number
from dualsight.task.inspect.walk import Statistics

COLUMNS = 64  # of a vector drawn as rows
_NUMBERS = (
    ("mean", "mean"),
    ("std", "std"),
    ("minimum", "minimum"),
    ("maximum", "maximum"),
    ("norm", "mean length"),
)


def section(name: str, lane: str, step: str, heading: str, *content: str) -> str:
    """One section: `lane` (image, text, both) gives its colour, `step` the words above its heading."""
    return (
        f'<section id="{name}" class="{lane}" aria-labelledby="{name}-heading">'
        f'<p class="step">{step}</p><h2 id="{name}-heading">{heading}</h2>{"".join(content)}</section>'
    )


def table(caption: str, columns: Sequence[str], rows: Iterable[str]) -> str:
    """A table that scrolls within itself where it is wider than the page. Rows come from `row`."""
    few = " few" if len(columns) <= 3 else ""
    heads = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return (
        f'<div class="scroll{few}" role="region" tabindex="0" aria-label="{caption}">'
        f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def row(head: str, cells: Iterable[object], *, kind: str = "") -> str:
    """One row: a heading of words, then cells of HTML."""
    return f'<tr class="{kind}"><th scope="row">{head}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def statistics(caption: str, rows: Sequence[tuple[str, Statistics]]) -> str:
    """Tensors as columns, their shapes and numbers below: narrow enough for a telephone."""
    lines = [row("shape", (by(tensor.shape) for _, tensor in rows))]
    lines += [row(label, (number(getattr(tensor, name)) for _, tensor in rows)) for name, label in _NUMBERS]
    return table(caption, ("", *(name for name, _ in rows)), lines)


def bar(part: float) -> str:
    """A bar filled by a part of 0…1; the number stands beside it in words."""
    return f'<span class="bar" aria-hidden="true"><i style="width:{100 * min(max(part, 0.0), 1.0):.2f}%"></i></span>'


def vector(values: NDArray[np.floating], name: str, caption: str) -> str:
    """A vector as coloured cells with its first numbers below. `name` is plain text, `caption` HTML."""
    alt = f"{name}: {len(values):,} numbers as coloured cells, {COLUMNS} a row, blue below zero and brown above"
    first = ", ".join(f"{value:+.4f}" for value in values[:5])
    return (
        f"<figure>{picture(signed(values, COLUMNS), alt, kind='numbers')}"
        f'<figcaption>{caption}<br><span class="mono">{first}, …</span></figcaption></figure>'
    )


def words(text: str) -> str:
    """Somebody else's words, safe in HTML."""
    return escape(text)
