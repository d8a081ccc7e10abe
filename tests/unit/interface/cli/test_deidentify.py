from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.deidentify import KEY, hashed_name
from dualsight.image.frame import FrameMeta
from dualsight.interface.cli.deidentify import hide_errors, hide_name, hide_results, read_key_if
from dualsight.interface.cli.options import find_images
from dualsight.task.embed import Embedded, Failed

SECRET = b"sixteen bytes or more"


def results() -> list[Embedded | Failed]:
    meta = FrameMeta(format="DICOM", study_instance_uid="1.2.3")
    done = Embedded(index=0, source="doe.dcm", frame_index=0, n_frames=1, meta=meta, vector=np.ones(2, np.float32))
    return [done, Failed(index=1, source="roe.dcm", error=UnreadableImage("truncated", source="roe.dcm", frame=2))]


def test_without_a_key_all_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "not looked at")
    assert read_key_if(False) is None and hide_name("doe.dcm", None) == "doe.dcm"
    stream = results()
    assert all(given is kept for given, kept in zip(hide_results(stream, None), stream, strict=True))


def test_the_key_is_read_when_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET.decode())
    assert read_key_if(True) == SECRET


def test_results_and_failures_get_hashes() -> None:
    done, failed = hide_results(results(), SECRET)
    assert isinstance(done, Embedded) and isinstance(failed, Failed)
    assert (done.source, done.index) == (hashed_name("doe.dcm", SECRET), 0)
    assert str(done.meta.study_instance_uid).startswith("2.25.")
    assert failed.source == failed.error.source == hashed_name("roe.dcm", SECRET)
    assert "roe" not in str(failed.error) and "frame 2: truncated" in str(failed.error)


def test_an_error_that_ends_the_command_names_no_file(tmp_path: Path) -> None:
    manifest = tmp_path / "doe.csv"
    manifest.write_text("file\n")
    with pytest.raises(UnsupportedImage, match=r"^hmac-[0-9a-f]{24}: no column `path`$") as raised:
        list(find_images([str(manifest)], SECRET))
    assert raised.value.__suppress_context__  # a traceback would show the first
    with pytest.raises(UnsupportedImage, match=r"doe\.csv"):
        list(find_images([str(manifest)]))


def test_an_error_of_the_system_names_no_file_either() -> None:
    with pytest.raises(PermissionError) as raised, hide_errors(SECRET):
        raise PermissionError(13, "Permission denied", "doe.dcm")
    assert raised.value.filename == hashed_name("doe.dcm", SECRET)
    with pytest.raises(PermissionError, match=r"doe\.dcm"), hide_errors(None):
        raise PermissionError(13, "Permission denied", "doe.dcm")


def test_files_that_are_passed_over_are_not_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "doe.txt").write_text("words")
    assert list(find_images([str(tmp_path)], SECRET)) == []
    said = capsys.readouterr().err
    assert "doe" not in said and f"skipped {hashed_name(str(tmp_path / 'doe.txt'), SECRET)}: no picture" in said
