"""Embeddings with their names, as a file that other tools read: NumPy, Parquet or safetensors.

.npz           vectors [n, D] float32, one array a column; frame_index -1 where a vector stands for a whole file;
               each metadata entry as an array of no dimension
.parquet       a column vector (a list of D float32), one a column; frame_index null there; metadata in the schema
.safetensors   vectors, frame_index (-1 there); metadata in the header, text columns there as JSON lists
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from dualsight.interface.cli.whole_file import whole_file


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorTable:
    """Embeddings, and what each is of.

    vectors: float32 [n, D]. texts: columns of n strings. frame_index: n numbers from 0, None for a whole file; empty
    where it means nothing. metadata: which model made them.
    """

    vectors: NDArray[np.float32]
    texts: Mapping[str, list[str]]
    frame_index: list[int | None] = field(default_factory=list)
    metadata: Mapping[str, str]


def write_vectors(table: VectorTable, path: Path) -> None:
    """Writes the whole file or nothing, in the format of its suffix, one of WRITERS. Raises OutputError."""
    with whole_file(path) as file:
        WRITERS[path.suffix.lower()](table, file)


def _write_npz(table: VectorTable, file: IO[bytes]) -> None:
    columns = {name: np.array(texts, dtype=np.str_) for name, texts in table.texts.items()}
    metadata = {name: np.array(value) for name, value in table.metadata.items()}
    np.savez(file, allow_pickle=False, vectors=table.vectors, **columns, **_frames(table), **metadata)


def _write_parquet(table: VectorTable, file: IO[bytes]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    dimensions = table.vectors.shape[1]
    columns = {name: pa.array(_valid(texts), pa.string()) for name, texts in table.texts.items()}
    if table.frame_index:
        columns["frame_index"] = pa.array(table.frame_index, pa.int64())
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(table.vectors.reshape(-1)), dimensions)
    parquet.write_table(pa.table(columns).replace_schema_metadata(dict(table.metadata)), file)


def _write_safetensors(table: VectorTable, file: IO[bytes]) -> None:
    from safetensors.numpy import save

    texts = {name: json.dumps(texts) for name, texts in table.texts.items()}
    file.write(save({"vectors": table.vectors, **_frames(table)}, metadata={**table.metadata, **texts}))


WRITERS: dict[str, Callable[[VectorTable, IO[bytes]], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".safetensors": _write_safetensors,
}


def _frames(table: VectorTable) -> dict[str, NDArray[np.int64]]:
    if not table.frame_index:
        return {}
    return {"frame_index": np.array([-1 if index is None else index for index in table.frame_index], dtype=np.int64)}


def _valid(texts: list[str]) -> list[str]:
    """File names that are no valid text, with escapes in them: Parquet holds UTF-8 only."""
    return [text.encode("utf-8", "backslashreplace").decode() for text in texts]
