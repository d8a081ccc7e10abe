"""Indexing in whole processes: killed at any moment, several at once, and the command line's first answer."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from dualsight.store import lance
from dualsight.store.index import Index
from dualsight.store.query import Query
from index_tables import check_same_rows, rows_of
from picture_files import write_frames

pytestmark = pytest.mark.e2e

LIMIT_S = 240.0
N_FRAMES = 3
SCRIPT = """
import sys
from dualsight.store import add
from dualsight.store.index import Index
from dualsight.store.settings import Settings

add.COMMIT_ROWS = 3 * 2  # many commits, so that kills fall between and into them
index = Index.open(sys.argv[1])
index.model
print("ready", flush=True)
index.add(sys.argv[2:], settings=Settings(per="frame", batch_size=4))
"""


def write_pictures(folder: Path, n: int, first: int = 0) -> Path:
    """Pictures of three frames each."""
    folder.mkdir()
    for number in range(first, first + n):
        rng = np.random.default_rng(number)
        frames = [rng.integers(0, 255, (32, 32), np.uint8) for _ in range(N_FRAMES)]
        write_frames(folder / f"{number:03}.tif", frames)
    return folder


def start(db: Path, *sources: Path) -> subprocess.Popen[str]:
    """An indexing process, with its model loaded."""
    command = [sys.executable, "-c", SCRIPT, str(db), *map(str, sources)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0


def check_killed_and_resumed(tmp_path: Path, n_kills: int, n_pictures: int) -> None:
    folder = write_pictures(tmp_path / "pictures", n_pictures)
    undisturbed = start(tmp_path / "whole", folder)
    begun = time.monotonic()
    finish(undisturbed)
    took = time.monotonic() - begun
    chance = random.Random(0)
    for _ in range(n_kills):
        process = start(tmp_path / "killed", folder)
        try:
            process.wait(timeout=chance.uniform(0.02, 0.8) * took / (n_kills / 4 + 1))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate(timeout=LIMIT_S)
        if lance.has_table(tmp_path / "killed"):  # nothing half-written
            counts = Counter(rows_of(Index(tmp_path / "killed"))["content_hash"].to_pylist())
            assert set(counts.values()) <= {N_FRAMES}
    finish(start(tmp_path / "killed", folder))
    expected, got = rows_of(Index(tmp_path / "whole")), rows_of(Index(tmp_path / "killed"))
    assert got.num_rows == n_pictures * N_FRAMES
    check_same_rows(got, expected)


def test_killed_and_resumed(tmp_path: Path) -> None:
    check_killed_and_resumed(tmp_path, n_kills=3, n_pictures=16)


@pytest.mark.slow  # 22 processes in turn, each loading torch and the model: minutes
@pytest.mark.timeout(1_800)
def test_killed_twenty_times_and_resumed(tmp_path: Path) -> None:
    check_killed_and_resumed(tmp_path, n_kills=20, n_pictures=120)


def test_two_writers_and_five_readers(tmp_path: Path) -> None:
    db = tmp_path / "db"
    one, both, two = (write_pictures(tmp_path / name, 6, first) for name, first in (("1", 0), ("b", 6), ("2", 12)))
    writers = [start(db, one, both), start(db, both, two)]
    is_over, wrong, n_reads = threading.Event(), [], Counter[int]()

    def read(reader: int) -> None:
        before = 0
        while not (is_over.is_set() and n_reads[reader]):
            if not lance.has_table(db):
                continue
            table = pa.Table.from_batches(Index(db).batches(), schema=Index(db).schema)
            counts = Counter(table["content_hash"].to_pylist())
            hits = Index(db).search(query=Query(vector=np.ones(128, np.float32)), k=5)
            if not set(counts.values()) <= {N_FRAMES} or table.num_rows < before or len(hits) < min(5, before):
                wrong.append((before, table.num_rows, counts))
            if len(set(table["id"].to_pylist())) < table.num_rows:
                wrong.append("a row is there twice")
            before = table.num_rows
            n_reads[reader] += 1

    readers = [threading.Thread(target=read, args=(number,)) for number in range(5)]
    for reader in readers:
        reader.start()
    for writer in writers:
        finish(writer)
    is_over.set()
    for reader in readers:
        reader.join(LIMIT_S)
    assert not wrong and sorted(n_reads) == list(range(5))
    table = rows_of(Index(db))
    assert table.num_rows == 18 * N_FRAMES == len(set(table["id"].to_pylist()))


def test_command_line(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", 3)
    db = tmp_path / "db"

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "dualsight", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S).stdout

    run("index", "add", str(folder), "--db", str(db), "--per", "frame")
    assert json.loads(run("index", "info", "--db", str(db), "--json"))["n_rows"] == 9
    where = ["--where", "frame_index = 1", "--per", "volume", "--sheet", str(tmp_path / "sheet.png")]
    answer = json.loads(run("search", str(db), "--text", "ct", "--json", *where))
    assert answer["n_rows"] == 9
    duplicates = json.loads(run("index", "duplicates", "--db", str(db), "--json"))
    assert (duplicates["fingerprint"], duplicates["n_rows"]) == (answer["fingerprint"], 9)
    assert len(answer["results"]) == 3 and {row["frame_index"] for row in answer["results"]} == {1}
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
    run("index", "export", "--db", str(db), "-o", str(tmp_path / "rows.parquet"))
    assert (tmp_path / "rows.parquet").stat().st_size > 0
