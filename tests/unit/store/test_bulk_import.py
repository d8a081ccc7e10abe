"""What is written for Milvus and Qdrant, read back as they read it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from dualsight.errors import OutputError, StoreError
from dualsight.store import bulk_import
from dualsight.store.bulk_import import POINTS_A_LINE, write_milvus, write_qdrant
from dualsight.store.rows import Row, as_table, as_vectors
from dualsight.store.schema import VECTOR, About, table_schema

N = 300
SCHEMA = table_schema(
    About(model="m", fingerprint="f" * 64, dimensions=16),
    {"age": pa.int64(), "dose": pa.float64(), "smoker": pa.bool_(), "remark": pa.string()},
)


def rows() -> pa.Table:
    vectors = np.random.default_rng(0).standard_normal((N, 16)).astype(np.float32)
    user = {"age": 70, "dose": 0.5, "smoker": True, "remark": "„ü“\n"}
    made = [
        Row(
            vector=vector,
            values={"id": uuid.uuid5(uuid.NAMESPACE_OID, str(number)).hex, "kind": "image", "modality": None}
            | (user if number % 2 else {}),
        )
        for number, vector in enumerate(vectors)
    ]
    return as_table(made, SCHEMA)


def batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    return iter(table.to_batches(max_chunksize=70))


def test_milvus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_import, "ROWS_A_GROUP", 100)
    monkeypatch.setattr(bulk_import, "GROUPS_A_FILE", 2)
    table = rows()
    write_milvus(SCHEMA, batches(table), tmp_path / "out")
    files = sorted((tmp_path / "out").glob("*.parquet"))
    assert [file.name for file in files] == ["00000.parquet", "00001.parquet"]
    for file in files:  # as pymilvus' own LocalBulkWriter writes them
        schema = parquet.read_schema(file)
        assert schema.metadata is None and schema.field(VECTOR).type == pa.list_(pa.field("element", pa.float32()))
        assert {str(field.type) for field in schema if field.name != VECTOR} == {"string", "int64", "double", "bool"}
    got = pa.concat_tables(map(parquet.read_table, files))
    assert got.drop_columns([VECTOR]) == table.drop_columns([VECTOR]).replace_schema_metadata(None)
    assert np.array_equal(as_vectors(got[VECTOR]), as_vectors(table[VECTOR]))
    collection = json.loads((tmp_path / "out/collection.json").read_text())
    fields = {field["fieldName"]: field for field in collection["schema"]["fields"]}
    assert list(fields) == SCHEMA.names
    assert {name: field["isPrimary"] for name, field in fields.items() if "isPrimary" in field} == {"id": True}
    assert {name for name, field in fields.items() if field.get("nullable") is True} == fields.keys() - {"id", VECTOR}
    assert "nullable" not in fields["id"]
    assert fields[VECTOR] == {"fieldName": VECTOR, "dataType": "FloatVector", "elementTypeParams": {"dim": 16}}
    assert (fields["age"]["dataType"], fields["smoker"]["dataType"], fields["dose"]["dataType"]) == (
        "Int64",
        "Bool",
        "Double",
    )


def test_qdrant(tmp_path: Path) -> None:
    table = rows()
    write_qdrant(SCHEMA, [pa.Table.to_batches(table.combine_chunks())[0]], tmp_path / "out")
    assert json.loads((tmp_path / "out/collection.json").read_text()) == {"vectors": {"size": 16, "distance": "Cosine"}}
    lines = (tmp_path / "out/points.jsonl").read_text().splitlines()
    requests = [json.loads(line)["points"] for line in lines]
    assert [len(points) for points in requests] == [POINTS_A_LINE, N - POINTS_A_LINE]
    points = [point for request in requests for point in request]
    assert [uuid.UUID(point["id"]).hex for point in points] == table["id"].to_pylist()
    assert np.array_equal(np.array([point["vector"] for point in points], np.float32), as_vectors(table[VECTOR]))
    assert points[0]["payload"] == {"kind": "image"}
    assert points[1]["payload"] == {"kind": "image", "age": 70, "dose": 0.5, "smoker": True, "remark": "„ü“\n"}


def test_a_text_that_milvus_does_not_take(tmp_path: Path) -> None:
    values = {"id": "0" * 32, "remark": "x" * 65_536}
    table = as_table([Row(vector=np.ones(16, np.float32), values=values)], SCHEMA)
    with pytest.raises(StoreError, match="column remark has a text of 65,536 bytes"):
        write_milvus(SCHEMA, batches(table), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []  # nothing half-written


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is there already"):
        write_qdrant(SCHEMA, [], tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        write_qdrant(SCHEMA, [], tmp_path / "none" / "out")
