"""Explanations as every interface asks for them, and in numbers, as it tells of them beside the picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from dualsight.task.explain.explain import Explanation


MethodName: TypeAlias = Literal["multi-scale", "token-shares", "grad-cam", "occlusion", "rise"]


def map_row(explanation: Explanation) -> dict[str, Any]:
    """What `json.dumps` takes of one map: what it is about, and its statistics."""
    return {
        "label": explanation.label,
        "against": explanation.against,
        "similarity": explanation.similarity,
        "method": explanation.method,
        "grid": explanation.grid,
        "unit": explanation.unit,
        "rest": explanation.rest,
        "hottest": hottest(explanation),
        "maximum": float(explanation.map.max()),
        "minimum": float(explanation.map.min()),
        "mean": float(explanation.map.mean()),
    }


def hottest(explanation: Explanation) -> dict[str, int]:
    """The pixel with the highest value, counted from the left and the top, from 0."""
    row, column = divmod(int(explanation.map.argmax()), explanation.map.shape[1])
    return {"x": column, "y": row}


def overlay_png(explanations: Sequence[Explanation]) -> bytes:
    """The maps over their picture, as a PNG without anything that names it."""
    from PIL import Image

    from dualsight.interface.overlay import draw_overlay

    out = io.BytesIO()
    Image.fromarray(draw_overlay(explanations)).save(out, "PNG")
    return out.getvalue()
