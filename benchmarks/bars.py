"""Bars with their spread, as an SVG that reads on light and on dark paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

LABEL, PLOT, VALUE, ROW, HEAD = 170, 340, 190, 26, 30
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #222 } .head { font-weight: 600 } .bar { fill: #3b76b5 }
.peer { fill: #999 } .spread { stroke: #222; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .spread { stroke: #ddd } }
"""


@dataclass(frozen=True)
class Bar:
    """One row: its median, its least and most, and what is written beside it."""

    label: str
    values: Sequence[float]
    note: str = ""
    is_peer: bool = False

    @property
    def middle(self) -> float:
        """The median."""
        return sorted(self.values)[len(self.values) // 2]


def draw_bars(panels: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """An SVG of panels, one below the other: a title, and bars from zero on."""
    parts, top = [], 8
    for title, bars in panels:
        parts.append(f'<text class="head" x="8" y="{top + 16}">{escape(title)}</text>')
        top += HEAD
        scale = PLOT / max(max(bar.values) for bar in bars)
        for bar in bars:
            parts += _row(bar, top, scale)
            top += ROW
        top += 14
    width = LABEL + PLOT + VALUE
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def _row(bar: Bar, top: int, scale: float) -> list[str]:
    middle = top + ROW / 2 - 3
    length, low, high = (scale * value for value in (bar.middle, min(bar.values), max(bar.values)))
    kind = "peer" if bar.is_peer else "bar"
    return [
        f'<text x="{LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect class="{kind}" x="{LABEL}" y="{middle - 8}" width="{length:.1f}" height="16"/>',
        f'<line class="spread" x1="{LABEL + low:.1f}" x2="{LABEL + high:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<text x="{LABEL + high + 8:.1f}" y="{middle + 4}">{escape(bar.note)}</text>',
    ]
