"""Clusters → one HTML page that needs nothing from outside: points, and a picture and words beside the pointer.

The page holds small pictures and the names of files: share it only where you may share these.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from dualsight.store.clusters import Clusters
from dualsight.store.schema import FIELDS
from dualsight.store.thumbnail import thumbnail

THUMBNAIL_PX = 96
_SHOWN = ("modality", "body_part", "view", "frame_index")


def map_page(found: Clusters, *, title: str, notice: str = "", colour: str | None = None) -> str:
    """The page. colour: a column whose values colour the points; the clusters do without it.

    Raises KeyError for a column that is not there.
    """
    rows = found.rows.to_pylist()
    groups = [f"cluster {label}" for label in found.labels] if colour is None else [str(r[colour]) for r in rows]
    user = [name for name in found.rows.column_names if name not in FIELDS]
    points = [
        {
            "x": round(float(x), 4),
            "y": round(float(y), 4),
            "group": group,
            "words": _words(row, int(label), user),
            "picture": _picture(row),
        }
        for row, (x, y), group, label in zip(rows, found.xy, groups, found.labels, strict=True)
    ]
    template = (resources.files("dualsight.store") / "map.html").read_text(encoding="utf-8")
    scope = f"{len(rows):,} of {found.n_rows:,} rows, {found.layout.upper()} of their vectors"
    data = json.dumps(points, ensure_ascii=False).replace("<", "\\u003c")  # no word of a row ends the script
    filled = template.replace("@TITLE@", escape(title)).replace("@SCOPE@", escape(scope))
    return filled.replace("@NOTICE@", escape(notice)).replace("@POINTS@", data)


def _words(row: Mapping[str, Any], label: int, user: Sequence[str]) -> list[str]:
    described = [f"{name}: {row[name]}" for name in (*_SHOWN, *user) if row[name] is not None]
    return [str(row["source"]), f"cluster {label}", *described]


def _picture(row: Mapping[str, Any]) -> str:
    """A data URL; empty where the picture is not at hand."""
    picture = thumbnail(row, THUMBNAIL_PX)
    if picture is None:
        return ""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=70)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
