"""A round trip through a real PACS store: STOW, QIDO, WADO, embed; the vectors are those of the local files."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from typer.testing import CliRunner

import dualsight
from dicomweb_stand_in import forget_credentials
from dualsight.errors import FetchError
from dualsight.image import Item, Skipped, scan
from dualsight.interface.cli.app import app
from dualsight.task.embed import Embedded
from e2e.orthanc import USER, Orthanc, serving

pytestmark = pytest.mark.e2e

FILES = Path(__file__).parent.parent / "data/images/pydicom"
# One of each transfer syntax that Debian's Orthanc 1.10.1 takes. It refuses JPEG-LS near-lossless
# (JPEGLSNearLossless_08.dcm) and files without meta header (no_meta.dcm): status 400, nothing is stored.
SYNTAXES = {
    "1.2.840.10008.1.2": "rtdose_1frame.dcm",
    "1.2.840.10008.1.2.1": "CT_small.dcm",
    "1.2.840.10008.1.2.1.99": "image_dfl.dcm",
    "1.2.840.10008.1.2.2": "ExplVR_BigEnd.dcm",
    "1.2.840.10008.1.2.4.50": "SC_rgb_jpeg_dcmtk.dcm",
    "1.2.840.10008.1.2.4.51": "JPEG-lossy.dcm",
    "1.2.840.10008.1.2.4.80": "MR_small_jpeg_ls_lossless.dcm",
    "1.2.840.10008.1.2.4.90": "GDCMJ2K_TextGBR.dcm",
    "1.2.840.10008.1.2.4.91": "693_J2KI.dcm",
    "1.2.840.10008.1.2.5": "SC_rgb_rle_2frame.dcm",
}
STUDY = sorted(FILES.glob("dicomdirtests__98892001__CT*"))  # one study of two series
REPORT = FILES / "reportsi.dcm"
GUIDE = Path(__file__).parents[2] / "docs/dicomweb.md"
SHOWN_ADDRESS = "dicomweb+https://pacs.example/dicom-web"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_credentials(monkeypatch)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with serving(tmp_path_factory.mktemp("orthanc")) as orthanc:
        orthanc.store(*(FILES / name for name in SYNTAXES.values()), REPORT)
        orthanc.store(*STUDY)
        yield orthanc


@pytest.fixture(scope="module")
def model() -> dualsight.Model:
    return dualsight.load("demo", engine="torch")


@pytest.fixture
def logged_in(orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address in the user's form, with the credentials in the environment."""
    monkeypatch.setenv("DUALSIGHT_DICOMWEB_USER", USER)
    monkeypatch.setenv("DUALSIGHT_DICOMWEB_PASSWORD", orthanc.password)
    return f"dicomweb+{orthanc.url}"


def header(file: Path) -> pydicom.Dataset:
    return pydicom.dcmread(file, stop_before_pixels=True)


def instance_of(name: str) -> str:
    return name.rpartition("/")[2]


def test_every_transfer_syntax_comes_back_as_it_was_and_its_vectors_are_those_of_the_file(
    logged_in: str, model: dualsight.Model
) -> None:
    local = {header(FILES / name).SOPInstanceUID: FILES / name for name in SYNTAXES.values()}
    assert {header(file).file_meta.TransferSyntaxUID for file in local.values()} == set(SYNTAXES)
    listed = {instance_of(item.name): item for item in scan(logged_in) if isinstance(item, Item)}
    assert set(local) <= set(listed)
    for uid, file in local.items():
        content = listed[uid].content
        assert callable(content) and content() == file.read_bytes(), file.name

    ours = list(model.embed(local.values(), per="frame"))
    theirs = list(model.embed([listed[uid] for uid in local], per="frame"))
    assert len(ours) == len(theirs) == len(local) + 1  # one has two frames
    for here, there in zip(ours, theirs, strict=True):
        assert isinstance(here, Embedded) and isinstance(there, Embedded)
        np.testing.assert_array_equal(here.vector, there.vector, err_msg=here.source)


def test_a_report_is_listed_as_no_picture(logged_in: str) -> None:
    study = header(REPORT).StudyInstanceUID
    (skipped,) = scan(f"{logged_in}/studies/{study}")
    assert isinstance(skipped, Skipped) and skipped.reason == "no pixels: Basic Text SR Storage"


def documented(command: str, address: str, uid: str) -> list[str]:
    """The words after `dualsight COMMAND` in the documentation, for this server."""
    (line,) = re.findall(rf"^dualsight {command} (.+)$", GUIDE.read_text(), re.MULTILINE)
    return shlex.split(re.sub(r"(?<= )1\.2\.840[\d.]+", uid, line.replace(SHOWN_ADDRESS, address)))


def test_the_command_line_embeds_a_study_as_its_files_are_embedded(
    orthanc: Orthanc, logged_in: str, model: dualsight.Model, tmp_path: Path
) -> None:
    study = header(STUDY[0]).StudyInstanceUID
    command = [sys.executable, "-m", "dualsight", "embed", *documented("embed", logged_in, study)]
    command += ["--engine", "torch", "--batch-size", "8"]  # with the threads the same for both, so that the bits are
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    written = np.load(tmp_path / "study.npz")
    names = written["source"].tolist()
    assert {name.rpartition("/series/")[0] for name in names} == {f"{logged_in}/studies/{study}"}
    assert len(names) == len(STUDY)

    local = {header(file).SOPInstanceUID: file for file in STUDY}
    ours = list(model.embed(local[instance_of(name)] for name in names))
    np.testing.assert_array_equal([item.vector for item in ours if isinstance(item, Embedded)], written["vectors"])
    for said in (done.stdout, done.stderr, *(str(written[key]) for key in written.files)):
        assert orthanc.password not in said


def test_the_command_line_classifies_a_series(orthanc: Orthanc, logged_in: str) -> None:
    series = header(STUDY[0]).SeriesInstanceUID
    done = CliRunner().invoke(app, ["classify", *documented("classify", logged_in, series)])
    assert done.exit_code == 0, done.stderr
    files = [file for file in STUDY if header(file).SeriesInstanceUID == series]
    assert done.stdout.count(f"/series/{series}/instances/") == len(files)
    assert orthanc.password not in done.output


def test_a_series_is_part_of_a_study(logged_in: str) -> None:
    series = header(STUDY[0]).SeriesInstanceUID
    chosen = {header(file).SOPInstanceUID for file in STUDY if header(file).SeriesInstanceUID == series}
    assert 0 < len(chosen) < len(STUDY)
    assert {instance_of(item.name) for item in scan(f"{logged_in}/series/{series}")} == chosen


@pytest.mark.parametrize("password", [None, "wrong-4711"])
def test_without_the_password_the_error_says_what_to_set(
    orthanc: Orthanc, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if password is not None:
        monkeypatch.setenv("DUALSIGHT_DICOMWEB_USER", USER)
        monkeypatch.setenv("DUALSIGHT_DICOMWEB_PASSWORD", password)
    (item,) = scan(f"dicomweb+{orthanc.url}")
    assert isinstance(item, Item)
    with pytest.raises(FetchError, match="401") as caught:
        list(item.frames())
    assert "DUALSIGHT_DICOMWEB_PASSWORD" in caught.value.hint and str(password) not in str(caught.value)
