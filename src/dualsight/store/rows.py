"""Embeddings → rows of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dualsight.store.schema import DESCRIBING, VECTOR, Kind, row_id
from dualsight.task.embed import Embedded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One row: its vector, float32 [D] of unit length, and what each column holds."""

    vector: NDArray[np.float32]
    values: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The row's identity."""
        return str(self.values["id"])


def image_row(item: Embedded, *, content_hash: str, settings: str, path: str | None, user: Mapping[str, Any]) -> Row:
    """The row of one picture. What the user says of it stands before what its file says."""
    meta, kind = item.meta, _kind(item)
    tile_x, tile_y = meta.tile_origin or (None, None)
    row_spacing, column_spacing = meta.spacing_mm or (None, None)
    values = {
        "id": row_id(content_hash, settings, (kind, item.frame_index, tile_x, tile_y)),
        "kind": kind,
        "content_hash": content_hash,
        "settings": settings,
        "source": item.source,
        "path": path,
        "frame_index": item.frame_index,
        "n_frames": item.n_frames,
        "tile_x": tile_x,
        "tile_y": tile_y,
        "study_instance_uid": meta.study_instance_uid,
        "series_instance_uid": meta.series_instance_uid,
        "sop_instance_uid": meta.sop_instance_uid,
        "modality": meta.modality,
        "body_part": meta.body_part,
        "view": meta.view,
        "window": meta.window,
        "rows": meta.rows,
        "columns": meta.columns,
        "row_spacing_mm": row_spacing,
        "column_spacing_mm": column_spacing,
        "note": meta.note,
    }
    known = {name: value for name, value in user.items() if value is not None or name not in DESCRIBING}
    return Row(vector=item.vector, values=values | known)


def text_row(text: str, vector: NDArray[np.float32], *, content_hash: str, settings: str) -> Row:
    """The row of one text."""
    values = {
        "id": row_id(content_hash, settings, ("text",)),
        "kind": "text",
        "content_hash": content_hash,
        "settings": settings,
        "source": "text",
        "text": text,
        "n_frames": 1,
    }
    return Row(vector=vector, values=values)


def as_table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """The rows in the columns of `schema`; what a row does not hold is null."""
    columns: list[pa.Array] = []
    for field in schema:
        if field.name == VECTOR:
            vectors = pa.array(np.concatenate([row.vector for row in rows]), pa.float32())
            columns.append(pa.FixedSizeListArray.from_arrays(vectors, field.type.list_size))
        else:
            values = [row.values.get(field.name) for row in rows]
            is_text = field.type == pa.string()
            columns.append(pa.array([_text(value) for value in values] if is_text else values, field.type))
    return pa.table(columns, schema=schema)


def as_vectors(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """float32 [n, D] of a column of vectors; of none, whose length nothing says, [0, 0]."""
    numbers = np.asarray(column.combine_chunks().flatten(), np.float32)
    return numbers.reshape(len(column), len(numbers) // max(1, len(column)))


def _kind(item: Embedded) -> Kind:
    if item.meta.tile_origin is not None:
        return "tile"
    if item.n_frames == 1:
        return "image"
    return "volume" if item.frame_index is None else "frame"


def _text(value: Any) -> str | None:
    """As text in UTF-8, which is all a table holds: of a file name that is none with escapes, of a number its digits.

    A manifest may hold numbers where the table's first one held words.
    """
    return None if value is None else str(value).encode("utf-8", "backslashreplace").decode()
