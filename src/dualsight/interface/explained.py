"""An explanation in numbers: what every interface says of a heat map beside its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dualsight.task.explain.explain import Explanation


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
