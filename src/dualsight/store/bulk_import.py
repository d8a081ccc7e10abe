"""Rows of an index → the files that Milvus and Qdrant take in by the million.

Milvus (2.5 and later): Parquet files for a bulk-import job, a column a field, the vector as list<float>, and
`collection.json`, the body of `POST /v2/vectordb/collections/create` but for the collection's name.
Qdrant: `points.jsonl`, of which each line is the body of one `PUT /collections/NAME/points`, and `collection.json`,
that of `PUT /collections/NAME`. Its ids are ours, written as UUIDs.
Both compare by cosine. What a row does not say is null, or not there.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from dualsight.errors import OutputError, StoreError
from dualsight.store.rows import as_vectors
from dualsight.store.schema import VECTOR

ROWS_A_GROUP = 8_192  # about the 32 MB that Milvus' own writer puts into a row group
GROUPS_A_FILE = 12  # some 430 MB with vectors of 1,024 numbers; of the 1,024 files of 16 GB that a job may have
MAX_TEXT_BYTES = 65_535  # of a text in Milvus
POINTS_A_LINE = 256  # of Qdrant's 64 to 256 a request
_MILVUS: dict[pa.DataType, dict[str, Any]] = {
    pa.string(): {"dataType": "VarChar", "elementTypeParams": {"max_length": MAX_TEXT_BYTES}},
    pa.int64(): {"dataType": "Int64"},
    pa.float64(): {"dataType": "Double"},
    pa.bool_(): {"dataType": "Bool"},
}


def write_milvus(schema: pa.Schema, batches: Iterable[pa.RecordBatch], folder: Path) -> None:
    """Writes a folder of Parquet files and collection.json. Raises OutputError, and StoreError for too long a text."""
    plain = {field.name: pa.list_(pa.float32()) if field.name == VECTOR else field.type for field in schema}
    target = pa.schema(plain)  # without what is said about the table
    tables = _tables(schema, batches)
    with _whole_folder(folder) as part:
        _write_json(part / "collection.json", _milvus_collection(schema))
        for number, first in enumerate(tables):
            with parquet.ParquetWriter(part / f"{number:05}.parquet", target, store_schema=False) as writer:
                for table in chain([first], islice(tables, GROUPS_A_FILE - 1)):
                    _check_lengths(table)
                    writer.write_table(table.cast(target))


def write_qdrant(schema: pa.Schema, batches: Iterable[pa.RecordBatch], folder: Path) -> None:
    """Writes a folder of points.jsonl and collection.json. Raises OutputError."""
    size = schema.field(VECTOR).type.list_size
    numbers = ",".join(["%.9g"] * size)  # nine digits tell every float32 from its neighbours
    with _whole_folder(folder) as part:
        _write_json(part / "collection.json", {"vectors": {"size": size, "distance": "Cosine"}})
        with (part / "points.jsonl").open("w", encoding="utf-8") as file:
            for batch in batches:
                for start in range(0, batch.num_rows, POINTS_A_LINE):
                    points = _points(batch.slice(start, POINTS_A_LINE), numbers)
                    file.write(f'{{"points":[{",".join(points)}]}}\n')


def _tables(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows, ROWS_A_GROUP or a batch more at a time."""
    some: list[pa.RecordBatch] = []
    n_rows = 0
    for batch in batches:
        some.append(batch)
        n_rows += batch.num_rows
        if n_rows >= ROWS_A_GROUP:
            yield pa.Table.from_batches(some, schema)
            some, n_rows = [], 0
    if some:
        yield pa.Table.from_batches(some, schema)


def _milvus_collection(schema: pa.Schema) -> dict[str, Any]:
    index = {"fieldName": VECTOR, "indexName": VECTOR, "metricType": "COSINE", "indexType": "AUTOINDEX"}
    fields = [_milvus_field(field) for field in schema]
    return {"schema": {"autoID": False, "enableDynamicField": False, "fields": fields}, "indexParams": [index]}


def _milvus_field(field: pa.Field) -> dict[str, Any]:
    if field.name == VECTOR:
        size = field.type.list_size
        return {"fieldName": VECTOR, "dataType": "FloatVector", "elementTypeParams": {"dim": size}}
    own = {"isPrimary": True} if field.name == "id" else {"nullable": True}
    return {"fieldName": field.name, **_MILVUS[field.type], **own}


def _check_lengths(table: pa.Table) -> None:
    for field in table.schema:
        if field.type == pa.string():
            longest = pc.max(pc.binary_length(table[field.name])).as_py() or 0
            if longest > MAX_TEXT_BYTES:
                problem = f"column {field.name} has a text of {longest:,} bytes, and Milvus takes {MAX_TEXT_BYTES:,}"
                raise StoreError(problem, hint="export as Parquet, and shorten it there")


def _points(rows: pa.RecordBatch, numbers: str) -> Iterator[str]:
    """Each row as JSON. numbers: how a vector's are written."""
    vectors = as_vectors(pa.chunked_array([rows[VECTOR]]))
    for values, vector in zip(rows.drop_columns([VECTOR]).to_pylist(), vectors, strict=True):
        point_id = uuid.UUID(values.pop("id"))
        payload = {name: value for name, value in values.items() if value is not None}
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        yield f'{{"id":"{point_id}","vector":[{numbers % tuple(vector.tolist())}],"payload":{text}}}'


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _whole_folder(folder: Path) -> Generator[Path, None, None]:
    """A folder that takes its name when the block ends well, and leaves nothing behind otherwise."""
    if folder.exists():
        raise OutputError(f"{folder}: is there already", hint="name a new folder")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        part.mkdir()
        yield part
        part.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
