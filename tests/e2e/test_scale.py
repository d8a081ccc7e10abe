"""Indexing on Ray clusters that the test starts and ends, on 127.0.0.1: workers are killed, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dualsight.store.index import Index
from dualsight.store.settings import Settings
from index_tables import check_same_rows, rows_of
from picture_files import write_frames
from s3_stand_in import BUCKET, object_store

pytestmark = pytest.mark.e2e

LIMIT_S = 240.0
FRAMES = Settings(per="frame")
KILLING = """
import os, signal, sys
from pathlib import Path
from dualsight.store import add
from dualsight.store.add import Added
from dualsight.store.index import Index
from dualsight.store.ray import cluster
from dualsight.store.settings import Settings

def kill(title):
    for process in Path("/proc").glob("[0-9]*"):
        if process.joinpath("cmdline").read_bytes().startswith(title.encode()):
            os.kill(int(process.name), signal.SIGKILL)
            print("killed", title, flush=True)
            return

add.COMMIT_ROWS = 60
cluster.n_cores = lambda: 4  # two openers and an encoder, whatever this machine has
index, here = Index.open(sys.argv[1]), cluster.Cluster(encoder_cores=2)
n_added = 0
for event in index.iter_add(sys.argv[2], settings=Settings(per="frame"), cluster=here):
    n_added += isinstance(event, Added)
    if n_added in (20, 120):
        kill("ray::Opener" if n_added == 20 else "ray::Encoder")
        n_added += 1
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of three frames, one of them twice, and one that is broken."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(240):
        write_frames(folder / f"{number:03}.tif", [rng.integers(0, 255, (128, 128), np.uint8) for _ in range(3)])
    shutil.copy(folder / "003.tif", folder / "same.tif")
    (folder / "broken.tif").write_bytes((folder / "004.tif").read_bytes()[:500])
    return folder


@pytest.fixture(scope="module")
def expected(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """What one process makes of them."""
    db = tmp_path_factory.mktemp("one") / "db"
    Index.open(db).add(pictures, settings=FRAMES)
    return rows_of(Index(db))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=environment)


def ray_folders() -> set[Path]:
    """Ray's files of all that runs here; a driver that was killed has left some."""
    return set(Path("/tmp").glob("dualsight-ray-*"))  # noqa: S108


def check_equal(got: pa.Table, expected: pa.Table) -> None:
    assert got.num_rows == 240 * 3
    check_same_rows(got, expected)


def test_killed_workers_lose_nothing(pictures: Path, expected: pa.Table, tmp_path: Path) -> None:
    done = run(sys.executable, "-c", KILLING, str(tmp_path / "db"), str(pictures))
    assert done.returncode == 0, done.stderr
    killed = [line for line in done.stdout.splitlines() if line.startswith("killed")]  # Ray speaks of it as well
    assert killed == ["killed ray::Opener", "killed ray::Encoder"]
    check_equal(rows_of(Index(tmp_path / "db")), expected)


def test_command_line_from_store_to_store(pictures: Path, expected: pa.Table) -> None:
    """Two files are there before; then three and a broken one are added on a cluster of this machine's own."""
    before = ray_folders()
    with object_store() as files:
        for name in ("000.tif", "001.tif", "002.tif", "broken.tif"):
            files.put_file(pictures / name, f"{BUCKET}/pictures/{name}")
        db = f"s3://{BUCKET}/db"
        Index.open(db).add([f"s3://{BUCKET}/pictures/00{number}.tif" for number in (0, 1)], settings=FRAMES)
        words = ["index", "add", f"s3://{BUCKET}/pictures", "--db", db, "--per", "frame", "--engine", "ray"]
        done = run(sys.executable, "-m", "dualsight", *words)
        assert done.returncode == 1 and done.stdout == "", done.stderr
        assert "broken.tif, frame 0: truncated" in done.stderr
        assert f"1 added as 3 rows, 2 there before; 9 rows are in {db}" in done.stderr
        hashes = set(rows_of(Index(db))["content_hash"].to_pylist())
    assert len(hashes) == 3 and hashes < set(expected["content_hash"].to_pylist())
    assert ray_folders() == before  # what Ray kept there, pictures included
