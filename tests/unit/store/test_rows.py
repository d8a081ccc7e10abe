"""What each column of a row holds, and how rows become a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dualsight.image.frame import FrameMeta
from dualsight.store.rows import Row, as_table, as_vectors, image_row, text_row
from dualsight.store.schema import FIELDS, VECTOR, About, row_id, table_schema
from dualsight.task.embed import Embedded

VECTOR_OF_TWO = np.array([0.6, 0.8], np.float32)


def embedded(frame_index: int | None = 0, n_frames: int = 1, **meta: Any) -> Embedded:
    return Embedded(
        index=0, source="s", frame_index=frame_index, n_frames=n_frames, meta=FrameMeta(**meta), vector=VECTOR_OF_TWO
    )


def row(item: Embedded, **user: Any) -> Row:
    return image_row(item, content_hash="c", settings="{}", path="/p", user=user)


def test_every_column_of_a_tile() -> None:
    item = embedded(
        4, 9, tile_origin=(30, 40), spacing_mm=(0.5, 0.25), study_instance_uid="1", series_instance_uid="2",
        sop_instance_uid="3", modality="SM", body_part="SKIN", view="AP", window="w", rows=5, columns=6, note="n",
    )  # fmt: skip
    made = row(item)
    assert made.values == {
        "id": row_id("c", "{}", ("tile", 4, 30, 40)),
        "kind": "tile",
        "content_hash": "c",
        "settings": "{}",
        "source": "s",
        "path": "/p",
        "frame_index": 4,
        "n_frames": 9,
        "tile_x": 30,
        "tile_y": 40,
        "study_instance_uid": "1",
        "series_instance_uid": "2",
        "sop_instance_uid": "3",
        "modality": "SM",
        "body_part": "SKIN",
        "view": "AP",
        "window": "w",
        "rows": 5,
        "columns": 6,
        "row_spacing_mm": 0.5,
        "column_spacing_mm": 0.25,
        "note": "n",
    }
    assert made.id == made.values["id"] and made.vector is VECTOR_OF_TWO
    assert set(FIELDS) - set(made.values) == {"text"}


@pytest.mark.parametrize(
    ("item", "kind"),
    [(embedded(), "image"), (embedded(1, 2), "frame"), (embedded(None, 2), "volume"), (embedded(None, 1), "image")],
)
def test_kinds(item: Embedded, kind: str) -> None:
    made = row(item)
    assert made.values["kind"] == kind
    assert [made.values[name] for name in ("tile_x", "tile_y", "row_spacing_mm", "column_spacing_mm")] == [None] * 4
    assert made.id == row_id("c", "{}", (kind, item.frame_index, None, None))


def test_the_users_words_stand_before_the_files() -> None:
    values = row(embedded(modality="CT", view="AP"), modality="XR", view=None, age=None, side="left").values
    assert (values["modality"], values["view"], values["age"], values["side"]) == ("XR", "AP", None, "left")


def test_a_texts_row() -> None:
    made = text_row("words", VECTOR_OF_TWO, content_hash="c", settings="{}")
    assert made.values == {
        "id": row_id("c", "{}", ("text",)),
        "kind": "text",
        "content_hash": "c",
        "settings": "{}",
        "source": "text",
        "text": "words",
        "n_frames": 1,
    }


def test_a_table_of_rows() -> None:
    schema = table_schema(About(model="m", fingerprint="f", dimensions=2), {"age": pa.int64(), "side": pa.string()})
    rows = [row(embedded(), age=70, side=5), text_row("\udc80", VECTOR_OF_TWO[::-1], content_hash="d", settings="{}")]
    table = as_table(rows, schema)
    assert table.schema.equals(schema, check_metadata=True)
    np.testing.assert_array_equal(as_vectors(table[VECTOR]), np.array([[0.6, 0.8], [0.8, 0.6]], np.float32))
    first, second = table.to_pylist()
    assert (first["age"], first["side"], first["text"], first["n_frames"]) == (70, "5", None, 1)
    assert (second["age"], second["side"], second["text"], second["rows"]) == (None, None, "\\udc80", None)


def test_vectors_of_a_column_in_parts() -> None:
    parts = [pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float32()), 2) for values in ([1, 2, 3, 4], [5, 6])]
    vectors = as_vectors(pa.chunked_array(parts))
    np.testing.assert_array_equal(vectors, [[1, 2], [3, 4], [5, 6]])
    assert vectors.dtype == np.float32
