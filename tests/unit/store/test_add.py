"""What is added: a row for everything, told by its own name, and nothing lost where something is out of reach."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from dualsight.errors import StoreError
from dualsight.image.deidentify import hashed_name
from dualsight.store.index import Index
from dualsight.store.settings import Settings
from dualsight.task.model import Model
from series_files import write_series

KEY = b"0123456789abcdef"


def write_picture(path: Path, seed: int) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 40, 3), np.uint8)).save(path)
    return path


def test_every_slice_of_a_series_that_is_no_volume_has_a_row(model: Model, tmp_path: Path) -> None:
    write_series(tmp_path / "series", 3, places=False)
    index = Index.open(tmp_path / "db", model=model)
    report = index.add(tmp_path / "series", settings=Settings(per="volume"))
    assert (report.n_added, report.n_rows, len(index)) == (1, 4, 4)
    rows = pa.Table.from_batches(index.batches()).to_pylist()
    frames = [row for row in rows if row["kind"] == "frame"]
    assert [(row["frame_index"], row["n_frames"]) for row in frames] == [(0, 3), (1, 3), (2, 3)]
    assert len({row["sop_instance_uid"] for row in rows}) == 4  # the volume has none


def test_manifests_in_two_folders_do_not_exchange_their_values(model: Model, tmp_path: Path) -> None:
    for number, site in enumerate(("a", "b")):
        (tmp_path / site).mkdir()
        write_picture(tmp_path / site / "1.png", number)
        (tmp_path / site / "list.csv").write_text(f"path,site\n1.png,{site}\n")
    index = Index.open(tmp_path / "db", model=model)
    assert index.add([tmp_path / "a/list.csv", tmp_path / "b/list.csv"]).n_rows == 2
    rows = pa.Table.from_batches(index.batches()).to_pylist()
    assert [(row["source"], row["site"], row["path"]) for row in rows] == [
        ("1.png", site, str(tmp_path / site / "1.png")) for site in ("a", "b")
    ]


@pytest.mark.parametrize("broken", [["link"], ["archive"], ["archive", "notes"]])
def test_nothing_is_pruned_where_something_is_out_of_reach(model: Model, tmp_path: Path, broken: list[str]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_picture(folder / "a.png", 0)
    elsewhere = write_picture(tmp_path / "b.png", 1)
    (folder / "link.png").symlink_to(elsewhere)
    with zipfile.ZipFile(folder / "m.zip", "w") as archive:
        archive.write(write_picture(tmp_path / "c.png", 2), "c.png")
    index = Index.open(tmp_path / "db", model=model)
    assert index.add(folder, prune=True).n_rows == 3
    if "link" in broken:
        elsewhere.unlink()
    if "archive" in broken:
        (folder / "m.zip").write_bytes((folder / "m.zip").read_bytes()[:-30])
    if "notes" in broken:  # what is looked at after it is no picture, and no proof that all is there
        (folder / "notes.txt").write_text("of somebody")
    with pytest.raises(StoreError, match=r"nothing is pruned, because some files could not be read$"):
        index.add(folder, prune=True)
    assert len(index) == 3


def test_a_copy_of_a_broken_file_is_told_by_its_own_name(model: Model, tmp_path: Path) -> None:
    whole = write_picture(tmp_path / "whole.png", 0).read_bytes()
    (tmp_path / "pictures").mkdir()
    names = [str(tmp_path / "pictures" / name) for name in ("a.png", "b.png", "c.png")]
    for name in names:
        Path(name).write_bytes(whole[:60])
    report = Index.open(tmp_path / "db", model=model).add(tmp_path / "pictures")
    assert report.n_present == 0
    assert [failed.source for failed in report.failed] == [failed.error.source for failed in report.failed] == names
    assert all(str(failed.error).startswith(failed.source) for failed in report.failed)


@pytest.mark.parametrize("broken", ["cannot be decoded", "cannot be read"])
def test_with_a_key_a_failure_names_no_file(model: Model, tmp_path: Path, broken: str) -> None:
    folder = tmp_path / "Doe^Jane"
    folder.mkdir()
    file = folder / "jane.png"
    if broken == "cannot be decoded":
        file.write_bytes(write_picture(tmp_path / "whole.png", 0).read_bytes()[:60])
    (failed,) = Index.open(tmp_path / "db", model=model).add(file, key=KEY).failed
    assert failed.source == failed.error.source == hashed_name(str(file), KEY)
    said = str(failed.error) + failed.error.hint
    assert said.startswith(failed.source)
    assert "jane" not in said and "Doe" not in said and str(tmp_path) not in said
