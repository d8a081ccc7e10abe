from __future__ import annotations

from pathlib import Path

import pytest

from dualsight.errors import OutputError
from dualsight.interface.whole_file import check_folder, make_folder, whole_file


def test_the_name_is_taken_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with whole_file(path) as file:
        file.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x")])
def test_what_breaks_off_leaves_the_old_file_and_no_other(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), whole_file(path) as file:
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left"), whole_file(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no folder") as caught, whole_file(tmp_path / "a" / "out"):
        pass
    assert caught.value.hint.startswith("mkdir -p ")


def test_a_folder_for_results(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
        check_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "a"):
        for wrong in (check_folder, make_folder):
            with pytest.raises(OutputError, match="file"):
                wrong(path)


def test_a_folder_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"), whole_file(tmp_path):
        pass
