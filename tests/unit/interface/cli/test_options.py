from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args
from zipfile import ZipFile

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from dualsight.engine.select import Precision
from dualsight.errors import EngineError
from dualsight.image.reading import Reading
from dualsight.interface.cli import options
from dualsight.interface.cli.app import app
from dualsight.interface.cli.options import count_results, find_images, narrow_sources, read_lines, read_reading
from series_files import write_media


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


@pytest.mark.parametrize(
    "text", ["lungs", "40", "40,400,1", "a,b", "40,0", "40,-1", "40,nan", "nan,400", "inf,400", "40,inf", "40,0.5", ""]
)
def test_what_is_no_window_is_a_wrong_command_line(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_reading(text)


def test_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_bytes(b"\xef\xbb\xbf a \r\n\nb\n  ")
    assert read_lines(file, "--texts") == ["a", "b"]
    (tmp_path / "damaged").write_bytes(b"\xff")
    for wrong in ("damaged", "nowhere"):
        with pytest.raises(typer.BadParameter, match=wrong) as caught:
            read_lines(tmp_path / wrong, "--texts")
        assert caught.value.param_hint == "--texts"


def test_every_precision_can_be_asked_for() -> None:
    asked = next(part for part in get_args(get_args(options.Precision)[0]) if part is not type(None))
    assert set(get_args(asked)) == set(get_args(Precision))


def test_a_step_is_a_positive_number_of_millimetres() -> None:
    assert read_reading("auto", step_mm=2.5).step_mm == 2.5
    for step in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(typer.BadParameter):
            read_reading("auto", step_mm=step)


def test_a_slides_tiles_are_chosen_by_side_and_micrometres() -> None:
    reading = read_reading("auto", tile_px=224, mpp=0.5)
    assert (reading.tile_px, reading.mpp) == (224, 0.5)
    assert read_reading("auto") == Reading()
    for mpp in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(typer.BadParameter):
            read_reading("auto", mpp=mpp)


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
    assert count_results([str(picture), str(other)]) == 2
    assert count_results([str(picture), str(tmp_path)]) is None
    assert count_results([str(archive)]) is None
    assert count_results([str(picture)], "series") is None
    assert count_results([str(write_media(tmp_path))]) is None


PACS = "dicomweb+https://pacs.example/dicom-web"


def test_a_study_or_series_is_of_the_dicomweb_sources() -> None:
    assert narrow_sources([PACS, "a.png"], "1.2", None) == [f"{PACS}/studies/1.2", "a.png"]
    assert narrow_sources([PACS], "1.2", "1.3") == [f"{PACS}/studies/1.2/series/1.3"]
    assert narrow_sources([PACS], None, "1.3") == [f"{PACS}/series/1.3"]
    assert narrow_sources(["a.png", PACS], None, None) == ["a.png", PACS]


@pytest.mark.parametrize("command", [("embed", "-o", "out.npz"), ("classify", "--labels", "a,b")])
@pytest.mark.parametrize(
    ("source", "narrowed", "said"),
    [
        ("a.png", ("--study", "1.2"), "no DICOMweb source"),
        ("a.png", ("--series", "1.2"), "no DICOMweb source"),
        (PACS, ("--study", ""), "empty"),
        (PACS, ("--study", "1.2", "--series", "1.2/../x"), "no UID of series"),
        (f"{PACS}/studies/1.3", ("--study", "1.2"), "another study"),
        ("dicomweb+https://reader:hunter2@pacs.example", ("--study", "1.2"), "password"),
    ],
)
def test_what_cannot_be_chosen_is_a_wrong_command_line(
    run: Callable[..., Result], command: tuple[str, ...], source: str, narrowed: tuple[str, ...], said: str
) -> None:
    result = run(*command, source, *narrowed)
    assert result.exit_code == 2
    assert said in result.stderr and "hunter2" not in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("embed", "samples/real", "-o", "x.npz"),
        ("classify", "samples/real", "--labels", "a,b"),
        ("serve",),
        ("ui",),
        ("mcp",),
    ],
    ids=lambda command: command[0],
)
def test_a_device_that_there_is_not(run: Callable[..., Result], command: tuple[str, ...]) -> None:
    result = run(*command, "--device", "nonsense")
    assert result.exit_code == 1
    assert "no device 'nonsense'" in result.stderr and "cuda" in result.stderr


@pytest.fixture(scope="module")
def places(recipe_folder, tmp_path_factory) -> dict[str, Path]:
    """An index, an adapter, and what they were made of."""
    folder = tmp_path_factory.mktemp("places")
    rows = ["path,label"]
    for i in range(8):
        Image.fromarray(np.full((20, 20, 3), 100 * (i % 2) + i, np.uint8)).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{'ab'[i % 2]}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    places = {"picture": folder / "0.png", "manifest": folder / "manifest.csv"}
    places |= {"db": folder / "a.db", "adapter": folder / "a.safetensors"}
    model = ["--model", str(recipe_folder("davit"))]
    for words in ("index add {picture} --db {db}", "adapt train {manifest} --kind knn -o {adapter}"):
        done = CliRunner().invoke(app, [*words.format(**places).split(), *model])
        assert done.exit_code == 0, done.output
    return places


@pytest.mark.parametrize(
    "words",
    [
        "similarity --text a",
        "search {db} --text a",
        "explain {picture} --labels a",
        "evaluate {manifest} -o report",
        "adapt train {manifest} --kind knn -o a.safetensors",
        "adapt predict {picture} --adapter {adapter}",
        "qc outliers {picture} --reference {picture}",
        "qc duplicates {picture}",
        "qc exam {picture} --reference {manifest}",
        "index add {picture} --db b.db",
    ],
)
def test_a_command_computes_by_the_engine_that_was_chosen(words: str, run, places, monkeypatch) -> None:
    asked = {}

    def load(where: str, **how: object) -> None:
        asked.update(how)
        raise EngineError("enough is known")

    monkeypatch.setattr("dualsight.task.model.load", load)
    how = ["--engine", "openvino", "--precision", "bfloat16", "--device", "cuda:3"]
    done = run(*words.format(**places).split(), *how)
    assert (done.exit_code, "enough is known" in done.stderr) == (1, True), done.output
    assert asked == {"engine": "openvino", "precision": "bfloat16", "device": "cuda:3"}
