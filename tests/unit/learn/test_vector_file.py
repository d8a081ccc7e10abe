"""What `dualsight embed -o` writes is read again, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from dualsight.errors import VectorsError
from dualsight.interface.cli.vector_file import VectorTable, write_vectors
from dualsight.learn.vector_file import read_vectors

SUFFIXES = (".npz", ".parquet", ".safetensors")
VECTORS = np.arange(6, dtype=np.float32).reshape(2, 3)


def write(path: Path, vectors: np.ndarray = VECTORS, **metadata: str) -> Path:
    texts = {"source": ["a.png", "b/ü.png"], "note": [None, "x"]}
    integers = {"frame_index": [0, None]}
    metadata = metadata or {"model": "demo", "fingerprint": "abc", "notice": ""}
    write_vectors(VectorTable(vectors=vectors, texts=texts, integers=integers, metadata=metadata), path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_embed_writes_is_read(tmp_path: Path, suffix: str) -> None:
    stored = read_vectors(write(tmp_path / f"v{suffix}"))
    np.testing.assert_array_equal(stored.vectors, VECTORS)
    assert stored.sources == ("a.png", "b/ü.png")
    assert stored.fingerprint == "abc"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_are_told(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"v{suffix}")
    content = path.read_bytes()
    for damaged in (b"", content[:20], content[: len(content) // 2], content[:-1], b"\x80\x04pickle" * 9):
        path.write_bytes(damaged)
        with pytest.raises(VectorsError) as caught:
            read_vectors(path)
        assert "dualsight embed" in caught.value.hint


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_vectors_of_nobody_knows_which_model_are_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(VectorsError, match="fingerprint"):
        read_vectors(write(tmp_path / f"v{suffix}", model="demo"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_vectors_that_are_not_finite_are_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(VectorsError, match="not finite"):
        read_vectors(write(tmp_path / f"v{suffix}", VECTORS * np.float32("nan")))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VectorsError, match=r"\.csv: ends in none of"):
        read_vectors(tmp_path / "v.csv")
    with pytest.raises(VectorsError, match="no such file"):
        read_vectors(tmp_path / "v.npz")
    save_file({"weight": VECTORS}, tmp_path / "model.safetensors")
    with pytest.raises(VectorsError, match="has no vectors"):
        read_vectors(tmp_path / "model.safetensors")
    with (tmp_path / "v.npz").open("wb") as file:
        np.save(file, VECTORS)
    with pytest.raises(VectorsError, match="cannot be read"):
        read_vectors(tmp_path / "v.npz")
    np.savez(tmp_path / "v.npz", vectors=VECTORS[0], source=["a"], fingerprint="abc")
    with pytest.raises(VectorsError, match=r"\[3\], of 1"):
        read_vectors(tmp_path / "v.npz")


@pytest.mark.parametrize("source", ["5", '"ab"', "[1, 2]", "[" * 100_000])
def test_sources_that_are_no_names_are_refused(tmp_path: Path, source: str) -> None:
    path = tmp_path / "v.safetensors"
    save_file({"vectors": VECTORS}, path, {"source": source, "fingerprint": "abc"})
    with pytest.raises(VectorsError, match="cannot be read"):
        read_vectors(path)
    np.savez(tmp_path / "v.npz", vectors=VECTORS, source="a.png", fingerprint="abc")
    with pytest.raises(VectorsError, match="cannot be read"):
        read_vectors(tmp_path / "v.npz")


def test_a_column_of_numbers_is_no_column_of_vectors(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = pa.table({"vector": [1.0, 2.0], "source": ["a.png", "b.png"]})
    parquet.write_table(columns.replace_schema_metadata({"fingerprint": "abc"}), tmp_path / "v.parquet")
    with pytest.raises(VectorsError, match="cannot be read"):
        read_vectors(tmp_path / "v.parquet")
