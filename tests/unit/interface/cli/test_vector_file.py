from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from dualsight.interface.cli.embed import SUFFIXES
from dualsight.interface.cli.vector_file import WRITERS, VectorTable, write_vectors


def test_the_formats_offered_are_those_written() -> None:
    assert tuple(WRITERS) == SUFFIXES


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_name_that_is_no_text_is_written_all_the_same(tmp_path: Path, suffix: str) -> None:
    """os.fsdecode gives such names lone surrogates, which UTF-8 cannot hold."""
    table = VectorTable(
        vectors=np.eye(1, 3, dtype=np.float32),
        texts={"source": ["a\udcff.png"]},
        integers={"frame_index": [0]},
        metadata={"model": "m"},
    )
    path = tmp_path / f"out{suffix}"
    write_vectors(table, path)
    if suffix == ".parquet":
        assert pyarrow.parquet.read_table(path)["source"].to_pylist() == ["a\\udcff.png"]
    assert path.stat().st_size
