"""Pictures of rows are opened again: from files, archives and frames; or are not at hand."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dualsight.store.settings import Settings
from dualsight.store.thumbnail import thumbnail
from picture_files import write_frames

GREYS = (40, 120, 200)
FRAMES = [np.full((60, 30), grey, np.uint8) for grey in GREYS]


def row(path: Path | None, **values: Any) -> dict[str, Any]:
    known = {"source": str(path), "frame_index": None, "n_frames": 3, "settings": Settings().as_json()}
    return known | {"path": path and str(path)} | values


def grey(picture: Image.Image | None) -> int:
    assert picture is not None and picture.size == (10, 20)
    return int(np.asarray(picture)[10, 5, 0])


def test_frames_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "frames.tif"
    write_frames(path, FRAMES)
    assert grey(thumbnail(row(path, frame_index=2), 20)) == GREYS[2]
    assert grey(thumbnail(row(path), 20)) == GREYS[1]  # of several, one in the middle


def test_a_member_of_an_archive(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames.tif", FRAMES)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("other.txt", "words")
        archive.write(tmp_path / "frames.tif", "in/frames.tif")
    there = row(tmp_path / "all.zip", source="somewhere/all.zip!in/frames.tif", frame_index=0)
    assert grey(thumbnail(there, 20)) == GREYS[0]
    assert thumbnail(there | {"source": "all.zip!gone.tif"}, 20) is None


def test_not_at_hand(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames.tif", FRAMES)
    assert thumbnail(row(tmp_path / "gone.tif"), 20) is None
    assert thumbnail(row(None, source="hmac-0123"), 20) is None
    assert thumbnail(row(tmp_path / "frames.tif", frame_index=1, n_frames=9), 20) is None  # a slice of a series
    (tmp_path / "frames.tif").write_bytes(b"no picture")
    assert thumbnail(row(tmp_path / "frames.tif"), 20) is None
