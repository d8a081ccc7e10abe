"""What a table says of itself, and which columns it can have."""

from __future__ import annotations

import hashlib
import hmac

import pyarrow as pa
import pytest

from dualsight.errors import StoreError
from dualsight.store.schema import (
    FIELDS,
    VECTOR,
    About,
    check_user_columns,
    filter_columns,
    key_check,
    read_about,
    row_id,
    table_schema,
    user_columns,
)

ABOUT = About(model="m", fingerprint="f" * 64, dimensions=4)


@pytest.mark.parametrize("check", [None, "0123"])
def test_a_table_says_whose_vectors_it_has(check: str | None) -> None:
    about = About(model="m", fingerprint="f" * 64, dimensions=4, key_check=check)
    schema = table_schema(about, {"age": pa.int64(), "modality": pa.string()})
    assert schema.names == ["id", VECTOR, *list(FIELDS)[1:], "age"]
    assert schema.field(VECTOR).type == pa.list_(pa.float32(), 4)
    assert read_about(schema, "here") == about
    assert user_columns(schema) == {"age": pa.int64()}
    assert schema.metadata == {
        b"dualsight.model": b"m",
        b"dualsight.fingerprint": b"f" * 64,
        b"dualsight.key_check": (check or "").encode(),
    }


def test_a_table_of_somebody_elses() -> None:
    ours = table_schema(ABOUT, {})
    others = [
        ours.remove_metadata(),
        ours.with_metadata({"other": "words"}),
        ours.remove(ours.get_field_index(VECTOR)),
        ours.remove(ours.get_field_index("note")),
    ]
    for schema in others:
        with pytest.raises(StoreError, match=r"^here: is a table, but not one that dualsight made$"):
            read_about(schema, "here")


def test_columns_that_a_filter_may_name() -> None:
    schema = table_schema(ABOUT, {"age": pa.int64(), "dose": pa.float64(), "smoker": pa.bool_(), "when": pa.date32()})
    columns = filter_columns(schema)
    assert (columns["age"], columns["dose"], columns["smoker"], columns["kind"]) == (
        "integer",
        "number",
        "truth",
        "text",
    )
    assert "when" not in columns and VECTOR not in columns


@pytest.mark.parametrize("name", ["the age", "1st", "", "a" * 64, "größe", "a`"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(StoreError, match="cannot be one of an index") as caught:
        check_user_columns({name: pa.int64()}, None)
    assert repr(name) in str(caught.value) and "letters, digits and _" in caught.value.hint
    check_user_columns({"a" * 63: pa.int64(), "_1": pa.string(), "view": pa.string()}, None)


@pytest.mark.parametrize("name", ["id", "path", "note", VECTOR, "score", "_distance", "_rowid", "_rowaddr"])
def test_names_that_are_taken(name: str) -> None:
    with pytest.raises(StoreError, match=f"^column {name} of a manifest has the name of one of the index's own$") as at:
        check_user_columns({name: pa.string()}, None)
    assert "--column" in at.value.hint


def test_types_that_do_not_fit() -> None:
    schema = table_schema(ABOUT, {"age": pa.int64(), "dose": pa.float64(), "side": pa.string()})
    check_user_columns({"age": pa.int64(), "dose": pa.int64(), "side": pa.bool_(), "new": pa.bool_()}, schema)
    for name, kind, message in (
        ("age", pa.float64(), "column age of a manifest holds numbers, and that of the index integers"),
        ("age", pa.string(), "column age of a manifest holds texts, and that of the index integers"),
        ("dose", pa.bool_(), "column dose of a manifest holds truths, and that of the index numbers"),
    ):
        with pytest.raises(StoreError, match=f"^{message}$") as caught:
            check_user_columns({name: kind}, schema)
        assert "--column" in caught.value.hint


def test_identities_are_those_of_indexes_on_disk() -> None:
    text = "('c', '{}', ('image', 0, None, None))"
    assert row_id("c", "{}", ("image", 0, None, None)) == hashlib.sha256(text.encode()).hexdigest()[:32]
    assert key_check(b"key") == hmac.digest(b"key", b"dualsight index", "sha256").hex()[:16]
    assert key_check(None) is None
