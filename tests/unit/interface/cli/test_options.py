from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest
import typer

from dualsight.image.reading import Reading
from dualsight.interface.cli.options import count_sources, find_images, read_reading


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("auto", "auto"),
        ("dicom", "dicom"),
        ("lung", "lung"),
        ("40,400", (40.0, 400.0)),
        ("-600, 1500", (-600.0, 1500.0)),
    ],
)
def test_windows(text: str, window: object) -> None:
    assert read_reading(text) == Reading(window=window)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["lungs", "40", "40,400,1", "a,b", "40,0", "40,-1", "40,nan", ""])
def test_what_is_no_window_is_a_wrong_command_line(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_reading(text)


def test_a_step_is_a_positive_number_of_millimetres() -> None:
    assert read_reading("auto", step_mm=2.5).step_mm == 2.5
    for step in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(typer.BadParameter):
            read_reading("auto", step_mm=step)


def test_what_is_no_picture_is_named_on_stderr(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (picture.parent / "notes.txt").write_text("no picture")
    assert [item.name for item in find_images([str(picture.parent)])] == [str(picture)]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"skipped {picture.parent / 'notes.txt'}: ")


def test_only_single_files_are_counted_beforehand(picture: Path, other: Path, tmp_path: Path) -> None:
    archive = tmp_path / "all.zip"
    with ZipFile(archive, "w") as file:
        file.write(picture)
    assert count_sources([str(picture), str(other)]) == 2
    assert count_sources([str(picture), str(tmp_path)]) is None
    assert count_sources([str(archive)]) is None
