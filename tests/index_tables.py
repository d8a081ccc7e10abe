"""Tables of an index: what is in one, and some that a test writes by hand, with vectors that can be looked over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from dualsight.store import lance
from dualsight.store.index import Index
from dualsight.store.rows import as_vectors
from dualsight.store.schema import FIELDS, VECTOR, About, table_schema


def rows_of(index: Index) -> pa.Table:
    """All rows, in an order that does not hang on when each was added."""
    return pa.Table.from_batches(index.batches(), schema=index.schema).sort_by("id")


def check_same_rows(got: pa.Table, expected: pa.Table) -> None:
    """Vectors may differ in their last bits: their pictures were in other batches, and in other processes."""
    assert got.drop_columns([VECTOR]) == expected.drop_columns([VECTOR])
    np.testing.assert_allclose(as_vectors(got[VECTOR]), as_vectors(expected[VECTOR]), atol=2e-6, rtol=0)


def write_table(folder: Path, vectors: ArrayLike, **columns: Sequence[Any]) -> Any:
    """LanceDB's table of rows `000…`, `001…` with these vectors [n, D] and columns; images, unless `kind` says else."""
    rows = np.asarray(vectors, np.float32)
    n, dimensions = rows.shape
    made = {name: pa.array(values) for name, values in columns.items()}
    user = {name: values.type for name, values in made.items() if name not in FIELDS}
    schema = table_schema(About(model="none", fingerprint="none", dimensions=dimensions), user)
    known: dict[str, pa.Array] = {
        "id": pa.array([f"{place:032x}" for place in range(n)]),
        VECTOR: pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), dimensions),
        "kind": pa.array(["image"] * n),
    } | made
    arrays = [
        known[field.name].cast(field.type) if field.name in known else pa.nulls(n, field.type) for field in schema
    ]
    table = lance.create_table(folder, schema)
    table.add(pa.table(arrays, schema=schema))
    return table


def circle(*degrees: float) -> np.ndarray:
    """Unit vectors [n, 2] at these angles: the cosine of two is that of the angle between them."""
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
