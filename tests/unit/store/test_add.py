"""What is added: a row for everything, told by its own name, and nothing lost where something is out of reach."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import dualsight
from dualsight.store.index import Index
from dualsight.store.settings import Settings
from dualsight.task.model import Model
from series_files import write_series


@pytest.fixture(scope="module")
def model() -> Model:
    return dualsight.load()


def test_every_slice_of_a_series_that_is_no_volume_has_a_row(model: Model, tmp_path: Path) -> None:
    write_series(tmp_path / "series", 3, places=False)
    index = Index.open(tmp_path / "db", model=model)
    report = index.add(tmp_path / "series", settings=Settings(per="volume"))
    assert (report.n_added, report.n_rows, len(index)) == (1, 4, 4)
    rows = pa.Table.from_batches(index.batches()).to_pylist()
    frames = [row for row in rows if row["kind"] == "frame"]
    assert [(row["frame_index"], row["n_frames"]) for row in frames] == [(0, 3), (1, 3), (2, 3)]
    assert len({row["sop_instance_uid"] for row in rows}) == 4  # the volume has none
