"""Curves in a unit square, as SVG within a page; colours come from its style sheet.

1 ┌────────┐
  │  ╭──── │     a line a method: class line0, line1, …
  │ ╱      │
0 └────────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

SIDE = 200  # of the square, in units of the drawing
LEFT, TOP, BOTTOM, RIGHT = 34, 8, 34, 10
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points (x, y) in 0…1, joined. style: the number of its class. dots: each point is marked too."""

    x: Sequence[float]
    y: Sequence[float]
    style: int
    dots: bool = False


def square(lines: Sequence[Line], *, alt: str, across: str, up: str, diagonal: bool) -> str:
    """The plot as an <svg>. alt: what it shows, in words; `diagonal`: the line on which x is y."""
    width, height = LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {width} {height}" aria-label="{escape(alt)}">'
        f"{_frame(across, up)}{_path((0, 1), (0, 1), 'chance') if diagonal else ''}"
        f"{''.join(map(_line, lines))}</svg>"
    )


def _frame(across: str, up: str) -> str:
    grid: list[str] = []
    numbers: list[str] = []
    for tick in TICKS:
        x, y = _place(tick, tick)
        grid.append(_path((tick, tick), (0, 1), "grid") + _path((0, 1), (tick, tick), "grid"))
        if tick in (0.0, 0.5, 1.0):
            numbers.append(f'<text x="{x}" y="{TOP + SIDE + 13}" class="across">{tick:g}</text>')
            numbers.append(f'<text x="{LEFT - 5}" y="{y + 3.5}" class="up">{tick:g}</text>')
    middle = TOP + SIDE / 2
    return (
        f"{''.join(grid)}{''.join(numbers)}"
        f'<text x="{LEFT + SIDE / 2}" y="{TOP + SIDE + 28}" class="across">{escape(across)}</text>'
        f'<text x="10" y="{middle}" class="across" transform="rotate(-90 10 {middle})">{escape(up)}</text>'
    )


def _line(line: Line) -> str:
    drawn = _path(line.x, line.y, f"line{line.style}")
    if line.dots:
        for x, y in zip(line.x, line.y, strict=True):
            across, down = _place(x, y)
            drawn += f'<circle cx="{across}" cy="{down}" r="2.6" class="dot{line.style}"/>'
    return drawn


def _path(x: Sequence[float], y: Sequence[float], kind: str) -> str:
    points = " ".join("{:g},{:g}".format(*_place(a, b)) for a, b in zip(x, y, strict=True))
    return f'<polyline class="{kind}" points="{points}"/>'


def _place(x: float, y: float) -> tuple[float, float]:
    """Where a point of the unit square lies in the drawing, whose y grows downwards."""
    return round(LEFT + SIDE * x, 1), round(TOP + SIDE * (1 - y), 1)
