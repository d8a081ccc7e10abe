"""What a row of an index is, and what the table says about all of them.

    id · vector · kind · content_hash · settings · where it comes from · what its file says · the user's own columns

`content_hash` is that of a file's bytes, of a text, or of the files of a series together; with a key to de-identify
with, all hashes, names and UIDs are keyed. `id` is a hash of content, settings and place (frame, tile): the same
picture embedded in the same way has one row, however often it is added.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import pyarrow as pa

from dualsight.errors import StoreError
from dualsight.store.filters import ColumnType
from dualsight.store.hits import SCORE

Kind = Literal["image", "frame", "volume", "tile", "text"]
"""image: a picture. frame: one of several in a file or series. volume: several as one vector. tile: of a slide."""
KINDS = get_args(Kind)

VECTOR = "vector"
FIELDS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "kind": pa.string(),
    "content_hash": pa.string(),
    "settings": pa.string(),  # how it was embedded, as JSON
    "source": pa.string(),  # the user's own words for the file, or their keyed hash
    "path": pa.string(),  # where the file was, absolute; null for what is no file, and with a key
    "frame_index": pa.int64(),  # from 0; null of several frames together
    "n_frames": pa.int64(),
    "tile_x": pa.int64(),
    "tile_y": pa.int64(),
    "study_instance_uid": pa.string(),
    "series_instance_uid": pa.string(),
    "sop_instance_uid": pa.string(),
    "modality": pa.string(),
    "body_part": pa.string(),
    "view": pa.string(),
    "window": pa.string(),
    "rows": pa.int64(),
    "columns": pa.int64(),
    "row_spacing_mm": pa.float64(),
    "column_spacing_mm": pa.float64(),
    "text": pa.string(),
    "note": pa.string(),
}
TAKEN = (VECTOR, SCORE, "_distance", "_rowid", "_rowaddr")
"""Names beside FIELDS that no column of a user's can have: what a search makes, and what Lance calls its own."""
DESCRIBING = ("modality", "body_part", "view")
"""Columns that a manifest may fill: its words stand before the file's."""

_MODEL, _FINGERPRINT, _KEY_CHECK = b"dualsight.model", b"dualsight.fingerprint", b"dualsight.key_check"
_TYPES: dict[pa.DataType, ColumnType] = {
    pa.string(): "text",
    pa.int64(): "integer",
    pa.float64(): "number",
    pa.bool_(): "truth",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What holds for the whole table.

    model, fingerprint: who made the vectors. dimensions: of a vector. key_check: of a table whose names and UIDs are
    keyed hashes, what tells that key from another, and not the key; None where they are plain.
    """

    model: str
    fingerprint: str
    dimensions: int
    key_check: str | None = None


def table_schema(about: About, user: Mapping[str, pa.DataType]) -> pa.Schema:
    """The schema of a table, `user` its own columns."""
    vector = pa.field(VECTOR, pa.list_(pa.float32(), about.dimensions))
    fields = [pa.field(name, kind) for name, kind in (FIELDS | dict(user)).items()]
    metadata = {_MODEL: about.model, _FINGERPRINT: about.fingerprint, _KEY_CHECK: about.key_check or ""}
    return pa.schema([fields[0], vector, *fields[1:]], metadata=metadata)


def read_about(schema: pa.Schema, place: str) -> About:
    """What a table's schema says. Raises StoreError for a table that is none of ours."""
    metadata = schema.metadata or {}
    missing = [name for name in FIELDS if name not in schema.names]
    if _FINGERPRINT not in metadata or VECTOR not in schema.names or missing:
        raise StoreError(f"{place}: is a table, but not one that dualsight made")
    return About(
        model=metadata[_MODEL].decode(),
        fingerprint=metadata[_FINGERPRINT].decode(),
        dimensions=schema.field(VECTOR).type.list_size,
        key_check=metadata[_KEY_CHECK].decode() or None,
    )


def user_columns(schema: pa.Schema) -> dict[str, pa.DataType]:
    """The columns that the user brought."""
    return {field.name: field.type for field in schema if field.name not in FIELDS and field.name != VECTOR}


def filter_columns(schema: pa.Schema) -> dict[str, ColumnType]:
    """The columns that a filter may name."""
    return {field.name: _TYPES[field.type] for field in schema if field.type in _TYPES}


def check_user_columns(user: Mapping[str, pa.DataType], schema: pa.Schema | None) -> None:
    """Raises StoreError for a name that cannot be one, is taken, or has another type in the table."""
    for name, kind in user.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name):
            hint = "letters, digits and _ make a name; rename it, or name the columns to keep with --column"
            raise StoreError(f"column {name!r} of a manifest cannot be one of an index", hint=hint)
        if name in TAKEN or (name in FIELDS and name not in DESCRIBING):
            hint = "rename it, or name the columns to keep with --column"
            raise StoreError(f"column {name} of a manifest has the name of one of the index's own", hint=hint)
        have = schema.field(name).type if schema is not None and name in schema.names else kind
        if have != kind and not (have == pa.string() or (have == pa.float64() and kind == pa.int64())):
            problem = f"column {name} of a manifest holds {_TYPES[kind]}s, and that of the index {_TYPES[have]}s"
            raise StoreError(problem, hint="rename it, or name the columns to keep with --column")


def row_id(content_hash: str, settings: str, place: tuple[object, ...]) -> str:
    """[32] hexadecimal digits of content, settings and place."""
    return hashlib.sha256(repr((content_hash, settings, place)).encode()).hexdigest()[:32]


def key_check(key: bytes | None) -> str | None:
    """What tells one key from another without telling the key."""
    return None if key is None else hmac.digest(key, b"dualsight index", "sha256").hex()[:16]
