"""Embeddings with their names, as a file that other tools read: NumPy, Parquet or safetensors.

.npz           vectors [n, D] float32, one array a column; where nothing is known a text is empty and a number -1;
               each metadata entry as an array of no dimension
.parquet       a column vector (a list of D float32), one a column; null where nothing is known; metadata in the schema
.safetensors   vectors and columns of integers (-1); metadata in the header, text columns there as JSON lists (null)

frame_index is not known where a vector stands for several frames; UIDs are not where it stands for several of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from dualsight.interface.whole_file import whole_file


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorTable:
    """Embeddings, and what each is of.

    vectors: float32 [n, D]. texts, integers: columns of n values, None where nothing is known. metadata: which model
    made them.
    """

    vectors: NDArray[np.float32]
    texts: Mapping[str, Sequence[str | None]]
    integers: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    metadata: Mapping[str, str]


def write_vectors(table: VectorTable, path: Path) -> None:
    """Writes the whole file or nothing, in the format of its suffix, one of WRITERS. Raises OutputError."""
    with whole_file(path) as file:
        WRITERS[path.suffix.lower()](table, file)


def _write_npz(table: VectorTable, file: IO[bytes]) -> None:
    columns = {name: np.array([text or "" for text in texts], np.str_) for name, texts in table.texts.items()}
    metadata = {name: np.array(value) for name, value in table.metadata.items()}
    np.savez(file, allow_pickle=False, vectors=table.vectors, **columns, **_integers(table), **metadata)


def _write_parquet(table: VectorTable, file: IO[bytes]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    dimensions = table.vectors.shape[1]
    columns = {name: pa.array(_valid(texts), pa.string()) for name, texts in table.texts.items()}
    columns |= {name: pa.array(numbers, pa.int64()) for name, numbers in table.integers.items()}
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(table.vectors.reshape(-1)), dimensions)
    parquet.write_table(pa.table(columns).replace_schema_metadata(dict(table.metadata)), file)


def _write_safetensors(table: VectorTable, file: IO[bytes]) -> None:
    from safetensors.numpy import save

    texts = {name: json.dumps(texts) for name, texts in table.texts.items()}
    file.write(save({"vectors": table.vectors, **_integers(table)}, metadata={**table.metadata, **texts}))


WRITERS: dict[str, Callable[[VectorTable, IO[bytes]], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".safetensors": _write_safetensors,
}


def _integers(table: VectorTable) -> dict[str, NDArray[np.int64]]:
    return {
        name: np.array([-1 if number is None else number for number in numbers], np.int64)
        for name, numbers in table.integers.items()
    }


def _valid(texts: Sequence[str | None]) -> list[str | None]:
    """File names that are no valid text, with escapes in them: Parquet holds UTF-8 only."""
    return [text and text.encode("utf-8", "backslashreplace").decode() for text in texts]
