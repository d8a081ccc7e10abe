"""Files that `dualsight embed -o` wrote → vectors with their sources, so that nothing is embedded twice."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import CheckpointError, VectorsError

_MAKE = "make one with `dualsight embed MANIFEST.csv -o FILE.npz`"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredVectors:
    """Embeddings as they were written.

    path: the file. vectors: float32 [n, D]. sources: n names of pictures, as `embed` was given them. fingerprint: of
    the model that made them.
    """

    path: Path
    vectors: NDArray[np.float32]
    sources: tuple[str, ...]
    fingerprint: str


def read_vectors(path: Path) -> StoredVectors:
    """The vectors of a .npz, .parquet or .safetensors that `dualsight embed` wrote.

    Raises VectorsError for a file that cannot be read or holds something else.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise VectorsError(f"{path}: ends in none of {', '.join(_READERS)}", hint=_MAKE)
    if not path.is_file():
        raise VectorsError(f"{path}: no such file", hint=_MAKE)
    try:
        vectors, sources, fingerprint = reader(path)
    except CheckpointError as error:
        raise VectorsError(str(error), hint=_MAKE) from error
    except KeyError as error:
        raise VectorsError(f"{path}: has no {error.args[0]}, so that it is none of `embed`", hint=_MAKE) from error
    except (OSError, EOFError, ValueError, RecursionError, zipfile.BadZipFile, zlib.error) as error:
        raise VectorsError(f"{path}: cannot be read ({type(error).__name__})", hint=_MAKE) from error
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(sources) != len(vectors):
        shape = f"{vectors.dtype} {list(vectors.shape)}"
        raise VectorsError(f"{path}: vectors are {shape}, of {len(sources)} sources", hint=_MAKE)
    if not np.isfinite(vectors).all():
        raise VectorsError(f"{path}: a vector is not finite", hint=_MAKE)
    return StoredVectors(path=path, vectors=vectors, sources=tuple(sources), fingerprint=fingerprint)


_Parts = tuple[NDArray[Any], list[str], str]


def _read_npz(path: Path) -> _Parts:
    with path.open("rb") as file:  # numpy leaves a damaged one open
        arrays = np.load(file, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise ValueError("one array alone")
        return arrays["vectors"], _names(arrays["source"].tolist()), str(arrays["fingerprint"])


def _read_parquet(path: Path) -> _Parts:
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(path)
    metadata = table.schema.metadata or {}
    column = table["vector"].combine_chunks()
    if not isinstance(column, (pa.FixedSizeListArray, pa.ListArray)):
        raise ValueError("vector is no list")
    vectors = column.values.to_numpy().reshape(len(column), -1)
    return vectors, _names(table["source"].to_pylist()), metadata[b"fingerprint"].decode()


def _read_safetensors(path: Path) -> _Parts:
    from safetensors import safe_open

    from dualsight.checkpoint.weights import read_header

    if "vectors" not in read_header(path):
        raise KeyError("vectors")
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        return file.get_tensor("vectors"), _names(json.loads(metadata["source"])), metadata["fingerprint"]


def _names(values: object) -> list[str]:
    """Raises ValueError for anything but a list of texts."""
    if not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
        raise ValueError("source is no list of texts")
    return values


_READERS: dict[str, Callable[[Path], _Parts]] = {
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
}
