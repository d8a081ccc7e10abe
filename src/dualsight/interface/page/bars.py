"""Probabilities as bars, each with its label, its side of a threshold, and a button that asks why."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TypeAlias

from dualsight.interface.page_walk.parts import bar
from dualsight.task.classify import Classification

Verdict: TypeAlias = Callable[[str, float], str | None]
"""Label, probability → "above", "below" or None."""


def draw_bars(answer: Classification, verdict: Verdict | None) -> str:
    """A list by falling probability. A button's `data-pick` is the label's place in it, from 0."""
    how = "each on its own" if answer.multilabel else "as if one of them is true"
    part = f", {answer.n_frames} frames as one picture" if answer.frame_index is None and answer.n_frames > 1 else ""
    rows = "".join(
        _row(place, label, probability, verdict)
        for place, (label, probability) in enumerate(zip(answer.labels, answer.probabilities, strict=True))
    )
    return (
        f'<p role="status"><b>{escape(answer.top)}</b> comes first of {len(answer.labels)}, {how}: '
        f'{escape(answer.source)}{part}.</p><ol class="bars">{rows}</ol>'
    )


def _row(place: int, label: str, probability: float, verdict: Verdict | None) -> str:
    side = (verdict(label, probability) or "no threshold") if verdict else ""
    said = f'<span class="side {side.partition(" ")[0]}">{side}</span>' if side else ""
    return (
        f'<li><span class="label">{escape(label)}</span>{said}<span class="num">{probability:.1%}</span>'
        f'<button type="button" data-pick="{place}">Why<span class="unseen"> {escape(label)}: heat map</span></button>'
        f"{bar(probability)}</li>"
    )
