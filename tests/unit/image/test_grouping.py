from __future__ import annotations

import random
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_files import dicom_bytes
from dualsight.image import Item, Series, Skipped, Study, group, scan
from picture_files import png
from series_files import break_pixels, write_media, write_series

PNG = png(np.random.default_rng(2).integers(0, 256, (4, 4, 3), dtype=np.uint8))


def items_in(*sources: Path) -> Iterator[Item]:
    return (thing for thing in scan(sources) if not isinstance(thing, Skipped))


def names(series: Series) -> list[str]:
    return [Path(item.name).name for item in series.items]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two studies of two series each, their files mixed in one folder, a picture among them."""
    into = tmp_path / "in"
    for study, series in (("1.1", "1.1.1"), ("1.2", "1.2.1"), ("1.1", "1.1.2"), ("1.2", "1.2.2")):
        write_series(into, 3, study=study, series=series)
    for number, path in enumerate(random.Random(1).sample(sorted(into.iterdir()), 12)):
        path.rename(into / f"{number:02}.dcm")
    (into / "05b.png").write_bytes(PNG)
    return into


def test_files_meet_in_their_series_by_instance_number(folder: Path) -> None:
    found = list(group(items_in(folder), per="series"))
    series = [thing for thing in found if isinstance(thing, Series)]
    assert len(series) == 4 and len(found) == 5
    for one in series:
        frames = [next(item.frames()) for item in one.items]
        assert len({frame.meta.series_instance_uid for frame in frames}) == 1
        numbers = [int((frame.meta.sop_instance_uid or "").rsplit(".")[-1]) for frame in frames]
        assert numbers == [3, 2, 1]  # made so: instance numbers fall as UIDs rise


def test_groups_come_where_their_first_file_was_and_bear_its_name(folder: Path) -> None:
    found = [thing.name for thing in group(items_in(folder), per="series")]
    assert found == sorted(found)
    assert str(folder / "00.dcm") == found[0] and str(folder / "05b.png") in found
    for one in group(items_in(folder), per="series"):
        if isinstance(one, Series):
            assert one.name == min(item.name for item in one.items)


def test_studies_hold_their_series(folder: Path) -> None:
    found = list(group(items_in(folder), per="study"))
    studies = [thing for thing in found if isinstance(thing, Study)]
    assert len(studies) == 2 and len(found) == 3
    for study in studies:
        assert [len(series.items) for series in study.series] == [3, 3]
        uids = {next(item.frames()).meta.study_instance_uid for series in study.series for item in series.items}
        assert len(uids) == 1
        assert study.name == min(series.name for series in study.series)


def test_a_name_breaks_ties_and_no_number_comes_last(tmp_path: Path) -> None:
    pixels = np.arange(16, dtype=np.int16).reshape(4, 4)
    for name, number in (("d", 7), ("c", None), ("b", 7), ("a", 9)):
        attributes = {} if number is None else {"InstanceNumber": number}
        (tmp_path / name).write_bytes(dicom_bytes(pixels, SeriesInstanceUID="1.2", **attributes))
    (series,) = group(items_in(tmp_path), per="series")
    assert isinstance(series, Series) and names(series) == ["b", "d", "a", "c"]


def test_series_without_a_study_are_studies_of_their_own(tmp_path: Path) -> None:
    pixels = np.arange(16, dtype=np.int16).reshape(4, 4)
    for name, series in (("a", "1.1"), ("b", "1.2"), ("c", "1.1")):
        (tmp_path / name).write_bytes(dicom_bytes(pixels, SeriesInstanceUID=series))
    found = list(group(items_in(tmp_path), per="study"))
    assert [[names(series) for series in study.series] for study in found if isinstance(study, Study)] == [
        [["a", "c"]],
        [["b"]],
    ]


def test_what_has_no_series_stays_alone_in_its_place(tmp_path: Path) -> None:
    write_series(tmp_path, 2, series="1.5")
    (tmp_path / "0.png").write_bytes(PNG)
    (tmp_path / "1-anonymous").write_bytes(dicom_bytes(np.arange(16, dtype=np.int16).reshape(4, 4)))
    (tmp_path / "z-header").write_bytes(b"\0" * 128 + b"DICM\2\0\0\0UL\4\0")
    for per in ("series", "study"):
        found = list(group(items_in(tmp_path), per=per))  # type: ignore[arg-type]
        assert [type(thing).__name__ for thing in found] == ["Item", "Item", per.capitalize(), "Item"]


def test_a_file_with_broken_pixels_still_belongs_to_its_series(tmp_path: Path) -> None:
    break_pixels(write_series(tmp_path, 3)[0])
    (series,) = group(items_in(tmp_path), per="series")
    assert isinstance(series, Series) and len(series.items) == 3


def test_names_that_are_no_text_and_members_of_archives_come_back_as_they_were(tmp_path: Path) -> None:
    write_series(tmp_path, 1, series="1.5")[0].rename(str(tmp_path / "a\udcff.dcm"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(write_series(tmp_path, 1, series="1.6")[0].rename(tmp_path / ".hidden"), "deep/c.dcm")
    before = {item.name: item for item in items_in(tmp_path)}
    found = list(group(items_in(tmp_path), per="series"))
    for one in found:
        assert isinstance(one, Series)
        (item,) = one.items
        assert item == before[item.name]
        assert len(list(item.frames())) == 1
    assert [Path(thing.name).name for thing in found if isinstance(thing, Series)] == ["a\udcff.dcm", "c.dcm"]


def test_uids_that_an_item_brings_spare_its_header() -> None:
    def fetch(number: int) -> bytes:
        raise AssertionError("opened")

    items = [
        Item(
            name=f"{n}",
            content=partial(fetch, n),
            study_instance_uid="1.1",
            series_instance_uid=f"1.1.{n % 2}",
        )
        for n in range(4)
    ]
    found = list(group(items, per="series"))
    assert [names(series) for series in found if isinstance(series, Series)] == [["0", "2"], ["1", "3"]]


def test_anything_else_passes_through() -> None:
    array = np.zeros((4, 4), np.uint8)
    found = list(group([array, b"bytes", "no file"], per="study"))
    assert found[0] is array and found[1:] == [b"bytes", "no file"]


def test_nothing_gives_nothing() -> None:
    assert list(group([], per="series")) == []


def test_the_standards_medium_has_its_studies_and_series(tmp_path: Path) -> None:
    directory = write_media(tmp_path)
    series = list(group(items_in(directory), per="series"))
    studies = list(group(items_in(directory), per="study"))
    headers = [pydicom.dcmread(item.content, stop_before_pixels=True) for item in items_in(directory)]
    assert len(headers) == 31
    assert len(series) == len({header.SeriesInstanceUID for header in headers})
    assert len(studies) == len({header.StudyInstanceUID for header in headers})
    assert sum(len(one.items) for one in series if isinstance(one, Series)) == 31


@pytest.mark.slow  # writes and reads 21,000 DICOM files: 40 seconds
@pytest.mark.parametrize("n", [1_000, 20_000])
def test_grouping_holds_one_group_in_memory(n: int) -> None:
    import json
    import subprocess
    import sys

    script = Path(__file__).parents[3] / "benchmarks" / "grouping.py"
    result = subprocess.run([sys.executable, script, str(n), "--json"], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["peak_growth_mb"] < 10
