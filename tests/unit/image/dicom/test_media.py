from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MediaStorageDirectoryStorage

from dicom_files import PATIENT, dicom_bytes, item, items, to_bytes
from dualsight.errors import UnreadableImage
from dualsight.image import Item, Limits, Skipped, scan
from dualsight.image.dicom.media import listed_files
from series_files import write_media

PICTURE = dicom_bytes(np.arange(16, dtype=np.int16).reshape(4, 4))


def write_directory(folder: Path, *file_ids: object, in_use: int = 0xFFFF) -> Path:
    """A DICOMDIR that lists these ReferencedFileIDs, below a patient's record with a name in it."""
    directory = Dataset()
    directory.SOPClassUID = MediaStorageDirectoryStorage
    directory.SOPInstanceUID = "1.2.3"
    records = [item(DirectoryRecordType="PATIENT", PatientName=PATIENT, PatientID="MRN-4711")]
    path = folder / "DICOMDIR"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that the standard forbids
        for file_id in file_ids:
            records.append(item(DirectoryRecordType="IMAGE", ReferencedFileID=file_id, RecordInUseFlag=in_use))
        directory.DirectoryRecordSequence = items(*records)
        path.write_bytes(to_bytes(directory))
    return path


def names(directory: Path) -> list[str]:
    return [thing.name for thing in scan(directory) if isinstance(thing, Item)]


@pytest.mark.parametrize(
    "directory",
    [
        "DICOMDIR",
        "DICOMDIR-bigEnd",
        "DICOMDIR-implicit",
        "DICOMDIR-nooffset",
        "DICOMDIR-nopatient",
        "DICOMDIR-reordered",
    ],
)
def test_the_standards_media_give_their_files(tmp_path: Path, directory: str) -> None:
    found = list(scan(write_media(tmp_path, directory)))
    records = pydicom.dcmread(tmp_path / "DICOMDIR").DirectoryRecordSequence
    listed = [tmp_path.joinpath(*record.ReferencedFileID) for record in records if "ReferencedFileID" in record]
    assert [thing.name for thing in found] == [str(path) for path in listed]
    assert len(found) == 31
    for thing in found:
        assert isinstance(thing, Item) and len(list(thing.frames())) == 1


def test_lower_cased_media_are_read(tmp_path: Path) -> None:
    found = list(scan(write_media(tmp_path, lower=True)))
    assert len(found) == 31
    assert str(tmp_path / "77654033" / "cr1" / "6154") in [thing.name for thing in found]
    for thing in found:
        assert isinstance(thing, Item) and len(list(thing.frames())) == 1


def test_a_walk_and_a_glob_give_each_file_once(tmp_path: Path) -> None:
    write_media(tmp_path)
    found = list(scan(tmp_path))
    walked = [thing.name for thing in found if isinstance(thing, Item)]
    assert len(walked) == len(set(walked)) == 31
    assert [thing.name for thing in found if isinstance(thing, Skipped)] == [str(tmp_path / "DICOMDIR")]
    for pattern, count in (("**", 31), ("*", 31), ("*/*/*", 31)):
        globbed = [thing.name for thing in scan(str(tmp_path / pattern)) if isinstance(thing, Item)]
        assert sorted(globbed) == sorted(walked) and len(globbed) == count


def test_a_file_that_is_listed_and_not_there_fails_by_name(tmp_path: Path) -> None:
    (tmp_path / "A").write_bytes(PICTURE)
    _, lost = scan(write_directory(tmp_path, "A", ["IMAGES", "LOST"]))
    assert isinstance(lost, Item) and lost.name == str(tmp_path / "IMAGES" / "LOST")
    with pytest.raises(UnreadableImage, match=r"IMAGES/LOST: no such file"):
        list(lost.frames())


@pytest.mark.parametrize(
    "file_id",
    [["..", "OUT"], ["A", "..", "..", "OUT"], ["", "etc", "passwd"], "../OUT", "/etc/passwd", ["."], ["C:", "OUT"]],
)
def test_no_name_leads_out_of_the_media(tmp_path: Path, file_id: object) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (tmp_path / "OUT").write_bytes(PICTURE)
    (thing,) = scan(write_directory(media, file_id))
    assert isinstance(thing, Skipped) and "leads out of the folder" in thing.reason


def test_no_link_leads_out_of_the_media(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (tmp_path / "OUT").write_bytes(PICTURE)
    (media / "LINK").symlink_to(tmp_path / "OUT")
    (media / "UP").symlink_to(tmp_path, target_is_directory=True)
    found = list(scan(write_directory(media, "LINK", ["UP", "OUT"])))
    assert [type(thing) for thing in found] == [Skipped, Skipped]


def test_a_file_comes_once_and_in_either_form_and_not_if_its_record_is_out_of_use(tmp_path: Path) -> None:
    (tmp_path / "IN").mkdir()
    (tmp_path / "IN" / "A").write_bytes(PICTURE)
    assert names(write_directory(tmp_path, ["IN", "A"], "IN\\A", "IN/A")) == [str(tmp_path / "IN" / "A")]
    assert names(write_directory(tmp_path, ["IN", "A"], in_use=0)) == []


def test_case_matters_where_both_are_there(tmp_path: Path) -> None:
    for name in ("a", "A"):
        (tmp_path / name).write_bytes(PICTURE)
    assert names(write_directory(tmp_path, "A", "a")) == [str(tmp_path / "A"), str(tmp_path / "a")]


def test_a_directory_that_lists_nothing_or_is_damaged_is_told(tmp_path: Path) -> None:
    path = write_directory(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"PATIENT") - 30])
    with pytest.raises(UnreadableImage) as caught:
        list(scan(path))
    assert str(path) in str(caught.value)


def test_mutated_directories_give_names_inside_or_an_error(tmp_path: Path) -> None:
    whole = bytearray(write_directory(tmp_path, ["IN", "A"], ["IN", "B"]).read_bytes())
    rng = np.random.default_rng(3)
    path = tmp_path / "DICOMDIR"
    for _ in range(150):
        data = whole.copy()
        for place in rng.integers(132, len(data), 3):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data)
        try:
            for name, is_inside in listed_files(path, Limits()):
                assert not is_inside or name.resolve().is_relative_to(tmp_path.resolve())
        except UnreadableImage as error:
            assert PATIENT not in str(error)


def test_a_directory_over_the_limit_is_refused(tmp_path: Path) -> None:
    from dualsight.errors import ImageTooLarge

    with pytest.raises(ImageTooLarge):
        list(scan(write_directory(tmp_path, "A"), limits=Limits(file_bytes=100)))


def test_a_name_too_long_or_a_link_to_itself_fails_by_name(tmp_path: Path) -> None:
    """Both raised what the system says of them."""
    (tmp_path / "LOOP").symlink_to(tmp_path / "LOOP")
    found = list(scan(write_directory(tmp_path, "LOOP", "X" * 300)))
    assert [thing.name for thing in found] == [str(tmp_path / "LOOP"), str(tmp_path / ("X" * 300))]
    for thing in found:
        assert isinstance(thing, Item)
        with pytest.raises(UnreadableImage):
            list(thing.frames())
