from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image import Item, Limits, Skipped, scan
from dualsight.image import source as source_module
from picture_files import png

PNG = png(np.random.default_rng(2).integers(0, 256, (4, 4, 3), dtype=np.uint8))
DICOM = b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0"


def fill(folder: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def items(found: Iterator[Item | Skipped]) -> list[str]:
    return [thing.name for thing in found if isinstance(thing, Item)]


def skipped(found: Iterator[Item | Skipped]) -> dict[str, str]:
    return {thing.name: thing.reason for thing in found if isinstance(thing, Skipped)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files = {"b_png": PNG, "a_txt": PNG, "notes_md": b"# words", "empty_png": b"", "sub__c_dcm": DICOM}
    fill(tmp_path / "in", **files, sub__d_nii_gz=gzip.compress(b"\x5c\x01\0\0".ljust(344, b"\0") + b"n+1\0"))
    (tmp_path / "in" / ".hidden.png").write_bytes(PNG)
    fill(tmp_path / "in" / ".git", e_png=PNG)
    return Path("in")


def test_folders_are_walked_sorted_and_what_is_no_picture_is_reported(folder: Path) -> None:
    assert items(scan(folder)) == ["in/a.txt", "in/b.png", "in/sub/c.dcm", "in/sub/d.nii.gz"]
    assert skipped(scan("in")) == {"in/empty.png": "empty", "in/notes.md": "no picture"}


def test_sources_keep_their_order(folder: Path) -> None:
    assert items(scan(["in/sub/c.dcm", Path("in/b.png"), "in/a.txt"])) == ["in/sub/c.dcm", "in/b.png", "in/a.txt"]


def test_an_item_gives_its_frames_under_its_name(folder: Path) -> None:
    (item,) = scan("in/b.png")
    assert isinstance(item, Item)
    (frame,) = item.frames()
    assert frame.source == "in/b.png" and frame.pixels.shape == (4, 4, 3)


def test_a_file_that_the_user_named_is_an_item_even_if_it_can_only_fail(folder: Path) -> None:
    for name in ("in/notes.md", "in/lost.png", "in/*.bmp"):
        (item,) = scan(name)
        assert isinstance(item, Item) and item.name == name
        with pytest.raises((UnreadableImage, UnsupportedImage), match=r"^in/"):
            list(item.frames())


def test_globs(folder: Path) -> None:
    assert items(scan("in/*.png")) == ["in/b.png"]
    assert items(scan("in/**/*.dcm")) == ["in/sub/c.dcm"]
    assert items(scan(str(folder.absolute() / "*.txt"))) == [str(folder.absolute() / "a.txt")]
    Path("in/[1].png").write_bytes(PNG)
    assert items(scan("in/[1].png")) == ["in/[1].png"]  # a file of that name comes first


def test_walking_is_lazy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    found = source_module._found
    monkeypatch.setattr(source_module, "_found", lambda path, limits: looked_at.append(path) or found(path, limits))
    next(scan(folder))
    assert looked_at == [Path("in/a.txt")]


def test_links_to_folders_are_not_followed_and_pipes_are_reported(folder: Path) -> None:
    Path("in/loop").symlink_to(folder.absolute(), target_is_directory=True)
    Path("in/gone.png").symlink_to("nowhere")
    os.mkfifo("in/pipe")
    found = skipped(scan(folder))
    assert found["in/pipe"] == "is no regular file" and "cannot be read" in found["in/gone.png"]
    assert len(items(scan(folder))) == 4


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_archives_are_walked_without_unpacking_to_disk(folder: Path) -> None:
    archive(Path("in/export.zip"), {"z.png": PNG, "sub/a.dcm": DICOM, "readme": b"hi", "__MACOSX/x.png": PNG})
    found = list(scan("in/export.zip"))
    assert items(iter(found)) == ["in/export.zip!sub/a.dcm", "in/export.zip!z.png"]
    assert skipped(iter(found)) == {"in/export.zip!readme": "no picture"}
    (frame,) = found[-1].frames()  # type: ignore[union-attr]
    assert frame.source == "in/export.zip!z.png"
    assert "in/export.zip!z.png" in items(scan(folder))
    assert sorted(path.name for path in Path("in").iterdir() if "z" in path.name) == ["export.zip"]


def test_the_items_of_an_archive_open_after_it_was_walked(folder: Path) -> None:
    archive(Path("x.zip"), {"a.png": PNG, "b.png": PNG})
    kept = list(scan("x.zip"))
    assert [len(list(item.frames())) for item in kept if isinstance(item, Item)] == [1, 1]


def test_archives_that_mean_harm_are_skipped_by_member(folder: Path) -> None:
    inner = archive(Path("inner.zip"), {"a.png": PNG}).read_bytes()
    archive(
        Path("x.zip"),
        {
            "../up.png": PNG,
            "/root.png": PNG,
            "C:/win.png": PNG,
            "a\\..\\b.png": PNG,
            "in.zip": inner,
            "big.png": bytes(999),
        },
    )
    reasons = skipped(scan("x.zip", limits=Limits(file_bytes=500)))
    assert items(scan("x.zip", limits=Limits(file_bytes=500))) == []
    for name in ("../up.png", "/root.png", "C:/win.png"):
        assert reasons[f"x.zip!{name}"] == "its name leads out of the archive"
    assert reasons["x.zip!in.zip"] == "an archive inside an archive"
    assert "500 bytes" in reasons["x.zip!big.png"]
    assert len(reasons) == 6


def test_the_size_that_an_archive_states_is_not_trusted(folder: Path) -> None:
    archive(Path("x.zip"), {"a.png": PNG + bytes(5000)})
    data = Path("x.zip").read_bytes()
    size = (len(PNG) + 5000).to_bytes(4, "little")
    Path("x.zip").write_bytes(data.replace(size, (len(PNG)).to_bytes(4, "little")))
    (thing,) = scan("x.zip", limits=Limits(file_bytes=1000))
    assert thing == Skipped(name="x.zip!a.png", reason="cannot be unpacked (BadZipFile)")


def test_damaged_and_encrypted_archives_are_reported(folder: Path) -> None:
    data = archive(Path("in/x.zip"), {"a.png": PNG}).read_bytes()
    Path("in/x.zip").write_bytes(data[:-30])
    assert "damaged archive" in skipped(scan(folder))["in/x.zip"]
    flagged = bytearray(data)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        flagged[data.index(signature) + at] |= 1
    Path("in/x.zip").write_bytes(flagged)
    assert skipped(scan(folder))["in/x.zip!a.png"] == "encrypted"


def test_manifests_name_files_relative_to_themselves(folder: Path) -> None:
    Path("in/list.csv").write_text("label,path\nyes,b.png\nno,sub/c.dcm\n,\nyes,lost.png\n", encoding="utf-8-sig")
    found = list(scan("in/list.csv"))
    assert items(iter(found)) == ["b.png", "sub/c.dcm", "lost.png"]
    assert isinstance(found[0], Item) and len(list(found[0].frames())) == 1
    Path("in/list.csv").write_text("file\nb.png\n")
    with pytest.raises(UnsupportedImage, match="no column `path`"):
        list(scan("in/list.csv"))
    Path("in/list.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(UnreadableImage, match="no readable table"):
        list(scan("in/list.csv"))


def test_a_media_directory_is_no_picture_itself(folder: Path) -> None:
    Path("in/DICOMDIR").write_bytes(DICOM + b"1.2.840.10008.1.3.10\0")
    assert "media directory" in skipped(scan(folder))["in/DICOMDIR"]


def test_members_without_a_name_and_with_damaged_lzma_are_reported(tmp_path: Path) -> None:
    """Found by fuzzing: an IndexError and an LZMAError came out."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.png", PNG * 9)
        archive.writestr("b.png", PNG)
    data = bytearray(path.read_bytes())
    start = data.index(b"a.png") + 5 + 4 + 5  # behind the member's name and LZMA's own header
    data[start : start + 20] = b"\xff" * 20
    path.write_bytes(bytes(data))
    assert "LZMAError" in skipped(scan(path))[f"{path}!a.png"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("\0hidden"), PNG)
    assert items(scan(path)) == [f"{path}!"]


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".csv", "x" * 300 + "*", "loop/a.png", "locked/a.png"])
def test_what_cannot_even_be_looked_at_is_an_item_that_fails(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Path.is_dir raises for a name too long, and in a folder that may not be searched."""
    look = os.stat

    def stat(path: os.PathLike[str] | str | int, **options: Any) -> os.stat_result:
        if not isinstance(path, int) and os.fspath(path).startswith("locked"):
            raise PermissionError(13, "Permission denied")  # root, who runs CI, may search every folder
        return look(path, **options)

    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    monkeypatch.setattr(os, "stat", stat)
    (item,) = scan(name)
    assert isinstance(item, Item) and item.name == name
    with pytest.raises(UnreadableImage):
        list(item.frames())
