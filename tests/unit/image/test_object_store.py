"""What lies below an address, in a memory of fsspec's that stands in for an object store."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest

from dualsight.errors import FetchError, ImageTooLarge, MissingExtra, UnreadableImage, UnsupportedImage
from dualsight.image.limits import Limits
from dualsight.image.object_store import Object, file_system, is_address
from dualsight.image.source import Item, Skipped, scan
from picture_files import png

PNG = png(np.zeros((4, 4, 1), np.uint8))


@pytest.fixture(autouse=True)
def store(bucket: fsspec.AbstractFileSystem) -> fsspec.AbstractFileSystem:
    archive = io.BytesIO()
    zipfile.ZipFile(archive, "w").close()
    contents = {
        "b.png": PNG,
        "a/c.png": PNG,
        "a/.hidden.png": PNG,
        "a/note.txt": b"words",
        "a/empty.png": b"",
        "a.zip": archive.getvalue(),
        "list.csv": "\ufeffpath,age\na/c.png,70\nmemory://bucket/b.png,60\n".encode(),
    }
    for name, content in contents.items():
        bucket.pipe_file(f"/bucket/{name}", content)
    return bucket


def names(source: str) -> list[tuple[type, str]]:
    return [(type(found), found.name) for found in scan(source)]


def test_a_folder_is_walked_as_one_on_disk_is() -> None:
    assert names("memory://bucket/a") == [
        (Item, "memory:///bucket/a/c.png"),
        (Skipped, "memory:///bucket/a/empty.png"),
        (Skipped, "memory:///bucket/a/note.txt"),
    ]
    reasons = {found.name: found.reason for found in scan("memory://bucket") if isinstance(found, Skipped)}
    assert reasons["memory:///bucket/a/empty.png"] == "empty"
    assert "unpack it there" in reasons["memory:///bucket/a.zip"]


def test_a_glob_an_object_and_what_is_not_there() -> None:
    assert names("memory://bucket/**/*.png")[0] == (Item, "memory:///bucket/a/c.png")
    (item,) = scan("memory://bucket/b.png")
    assert isinstance(item, Item) and [frame.pixels.shape for frame in item.frames()] == [(4, 4, 3)]
    (missing,) = scan("memory://bucket/none.png")
    assert isinstance(missing, Item)
    with pytest.raises(UnreadableImage, match="no such object"):
        missing.load()


def test_a_table_names_its_neighbours_and_other_addresses(tmp_path: Path) -> None:
    found = [thing for thing in scan("memory://bucket/list.csv") if isinstance(thing, Item)]
    assert [item.name for item in found] == ["a/c.png", "memory://bucket/b.png"]
    assert all(item.load() == PNG for item in found)
    (tmp_path / "list.csv").write_text("path\nmemory://bucket/b.png\n")
    (item,) = scan(tmp_path / "list.csv")
    assert isinstance(item, Item) and item.load() == PNG


def test_an_object_over_the_limit_is_not_fetched_whole() -> None:
    with pytest.raises(ImageTooLarge):
        Object(address="memory://bucket/b.png", max_bytes=10)()
    (item,) = scan("memory://bucket/b.png", limits=Limits(file_bytes=10))
    with pytest.raises(ImageTooLarge):
        item.load()  # type: ignore[union-attr]


def test_an_address_is_told_from_a_path() -> None:
    assert is_address("s3://bucket/a") and is_address("gs://bucket")
    assert not any(map(is_address, ("s3", "s3:/bucket", "/data/s3://x", "http://x", Path("s3://bucket"), "db://x")))


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(UnsupportedImage) as caught:
        file_system("s3://key:secret@bucket/a")
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*arguments: object, **options: object) -> None:
        raise ImportError("Please install gcsfs to access Google Storage")  # as fsspec does

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(MissingExtra) as caught:
        file_system("gs://bucket/a")
    assert caught.value.hint == "pip install 'dualsight[cloud]'"


def test_whatever_a_store_raises_is_told_in_one_way(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TheirsError(Exception):
        pass

    def fail(*arguments: object, **options: object) -> bytes:
        raise TheirsError("a secret of theirs")

    monkeypatch.setattr(type(store), "cat_file", fail)
    with pytest.raises(FetchError, match=r"does not deliver \(TheirsError\)$"):
        Object(address="memory://bucket/b.png", max_bytes=1 << 20)()
