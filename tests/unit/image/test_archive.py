from __future__ import annotations

import os
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dualsight.errors import ImageTooLarge, UnreadableImage
from dualsight.image.archive import Member, members
from dualsight.image.limits import Limits


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(40):
            file.writestr(f"{number:02}.bin", bytes([number]) * 70_000)
    return path


def all_of(path: Path, limits: Limits | None = None) -> list[Member]:
    return [member for member, _ in members(path, limits or Limits())]


def test_a_member_is_a_small_value_that_reads_itself(archive: Path) -> None:
    member = all_of(archive)[3]
    again = pickle.loads(pickle.dumps(member))  # noqa: S301 - made here
    assert again == member and len(pickle.dumps(member)) < 1_000
    assert again() == bytes([3]) * 70_000


def test_members_of_one_name_are_told_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for data in (b"one", b"two"):
            with pytest.warns(UserWarning) if data == b"two" else pytest.MonkeyPatch.context():
                file.writestr("same", data)
    assert [member() for member in all_of(tmp_path / "x.zip")] == [b"one", b"two"]


def test_threads_read_one_archive_at_once(archive: Path) -> None:
    wanted = [bytes([number]) * 70_000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(Member.__call__, all_of(archive))) == wanted


def test_a_forked_process_has_its_own_place_in_the_file(archive: Path) -> None:
    found = all_of(archive)
    found[0]()  # the archive is open
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        right = all(member() == bytes([number]) * 70_000 for number, member in enumerate(found))
        os.write(writer, b"1" if right else b"0")
        os._exit(0)
    assert all(member() == bytes([number]) * 70_000 for number, member in enumerate(found))
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 1) == b"1"
    os.close(reader)
    os.close(writer)


def test_an_archive_that_has_changed_is_read_anew(archive: Path) -> None:
    member = all_of(archive)[0]
    member()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("new", b"new")
    assert member() == b"new"
    with zipfile.ZipFile(archive, "w"):
        pass
    with pytest.raises(UnreadableImage, match=r"00\.bin: cannot be unpacked \(IndexError\)"):
        member()
    archive.unlink()
    with pytest.raises(UnreadableImage, match=r"00\.bin: cannot be unpacked \(FileNotFoundError\)"):
        member()


def test_the_limit_is_kept_whatever_the_directory_says(archive: Path) -> None:
    member = all_of(archive)[0]
    with pytest.raises(ImageTooLarge, match=r"00\.bin"):
        Member(name=member.name, archive=member.archive, entry=member.entry, max_bytes=69_999)()
    refused = [head for _, head in members(archive, Limits(file_bytes=69_999))]
    assert set(refused) == {"more than the limit of 69,999 bytes once unpacked"}


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(UnreadableImage, match="damaged archive"):
        list(members(tmp_path / "x.zip", Limits()))
