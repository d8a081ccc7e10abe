"""Pictures and tables in an object store: moto's S3 on 127.0.0.1, spoken to by s3fs and by Lance itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from dualsight.errors import StoreError
from dualsight.store.index import Index
from index_tables import check_same_rows, rows_of
from s3_stand_in import BUCKET, object_store

pytestmark = pytest.mark.e2e

LIMIT_S = 240.0
PICTURES = f"s3://{BUCKET}/pictures"
DB = f"s3://{BUCKET}/index"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures, one that is broken, a text, and a manifest."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in "abcdef":
        Image.fromarray(rng.integers(0, 255, (30, 30, 3), np.uint8)).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes((folder / "b.png").read_bytes()[:60])
    (folder / "note.txt").write_text("words")
    (folder / "list.csv").write_text(
        "path,age\n" + "".join(f"{name}.png,{place}\n" for place, name in enumerate("abc"))
    )
    return folder


@pytest.fixture
def store(pictures: Path) -> Iterator[fsspec.AbstractFileSystem]:
    with object_store() as files:
        files.put(f"{pictures}/", f"{BUCKET}/pictures/", recursive=True)
        yield files


def test_a_table_in_a_store_is_that_of_a_folder(
    store: fsspec.AbstractFileSystem, pictures: Path, tmp_path: Path
) -> None:
    there, here = Index.open(DB), Index.open(tmp_path / "db")
    report, expected = there.add(f"{PICTURES}/*.png"), here.add(str(pictures / "*.png"))
    assert (report.n_added, len(report.failed)) == (expected.n_added, len(expected.failed)) == (6, 1)
    got, want = rows_of(there), rows_of(here)
    check_same_rows(got.drop_columns(["source", "path"]), want.drop_columns(["source", "path"]))
    assert got["path"].to_pylist() == [f"{PICTURES}/{Path(path).name}" for path in want["path"].to_pylist()]
    assert there.add(PICTURES).n_present == 6
    there.add(f"{PICTURES}/list.csv")
    assert there.info().n_bytes > 6 * 128 * 4
    store.rm_file(f"{PICTURES}/a.png")
    store.rm_file(f"{PICTURES}/broken.png")
    version = there.info().version
    assert there.add(PICTURES, prune=True).n_pruned == 1
    there.restore(version)
    assert len(Index.open(DB)) == 6


def test_two_writers_in_a_store(store: fsspec.AbstractFileSystem) -> None:
    command = [sys.executable, "-m", "dualsight", "index", "add", f"{PICTURES}/?.png", "--db", DB]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        _, words = writer.communicate(timeout=LIMIT_S)
        assert writer.returncode == 0, words
    found = rows_of(Index.open(DB))
    assert found.num_rows == 6 == len(set(found["id"].to_pylist()))


def test_the_command_line_searches_there(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    Index.open(DB).add(f"{PICTURES}/list.csv")
    words = ["search", DB, "--image", f"{tmp_path}/a.png", "--where", "age < 2", "--json"]
    store.get(f"{PICTURES}/a.png", f"{tmp_path}/a.png")
    command = [sys.executable, "-m", "dualsight", *words, "--sheet", f"{tmp_path}/sheet.png"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S)
    assert next(row["source"] for row in json.loads(done.stdout)["results"]) == "a.png"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert len(sheet.convert("RGB").getcolors(1 << 24) or ()) > 900  # the random pictures are on it


def test_a_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with object_store():
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(StoreError, match=r"s3://nowhere/db: the store does not deliver"):
            Index.open("s3://nowhere/db")
