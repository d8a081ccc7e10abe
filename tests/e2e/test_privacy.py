"""What files say of a patient never comes out, and with --deidentify not even what the files are called."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image, PngImagePlugin
from pydicom import dcmread
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless
from safetensors import safe_open

from dicom_files import dicom_dataset, to_bytes
from dualsight.image.deidentify import KEY_FILE, hashed_name, hashed_uid

pytestmark = pytest.mark.e2e

MARK = "QZXVJKWPH"  # stands in every attribute that is text
PERSON = "Bvqxjzk"  # stands in every file name, as people's names do
ROOT = "1.2.826.0.1.3680043.99."
KEY = b"a secret of thirty-two bytes, ok"
_TEXTS = frozenset({"PN", "LO", "SH", "LT", "ST", "UT", "UC", "AE", "CS"})
# What results may tell, and what decides how pixels are read.
_OURS = {"Modality", "BodyPartExamined", "ViewPosition"}
_STRUCTURE = {"PhotometricInterpretation", "SpecificCharacterSet", "VOILUTFunction", "PresentationLUTShape"}


def dicom(number: int, *, terms: bool = True, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A CT slice of one series with MARK in every text attribute of the dictionary; without `terms` in Modality too."""
    pixels = np.random.default_rng(number).integers(0, 4000, (16, 16), dtype=np.uint16)
    dataset = dicom_dataset(pixels)
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if vr in _TEXTS and tag >> 16 >= 8 and keyword and keyword not in _STRUCTURE | (_OURS if terms else set()):
            dataset.add_new(tag, vr, MARK)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}1", f"{ROOT}1.2"
    dataset.SOPInstanceUID = f"{ROOT}1.2.{number + 1}"
    dataset.PatientBirthDate, dataset.StudyDate = "19470311", "20210911"
    dataset.WindowCenter, dataset.WindowWidth = "123456789", "1000"
    dataset.add_new(0x00091001, "LO", MARK)
    inner = Dataset()
    inner.PersonName = MARK
    dataset.AuthorObserverSequence = [inner]
    if syntax == RLELossless:
        dataset = dcmread(io.BytesIO(to_bytes(dataset)))
        dataset.compress(RLELossless, generate_instance_uid=False)
    return to_bytes(dataset, syntax)


def picture() -> bytes:
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", MARK)
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8)).save(buffer, "PNG", pnginfo=words)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of somebody's files, sound and broken, and the working directory around it."""
    inside = tmp_path_factory.mktemp("privacy") / f"{PERSON} Anna"
    inside.mkdir()
    whole = dicom(0)
    broken = {
        "cut header": whole[:3000],
        "cut pixels": whole[:-100],
        "no number": whole.replace(b"\x28\0\x10\0US\x02\0\x10\0", b"\x28\0\x10\0LO\x02\0QZ"),
        "no window": whole.replace(b"123456789", MARK.encode()),
        "no syntax": whole.replace(b"1.2.840.10008.1.2.1\0", MARK.encode().ljust(20)),
        "no class": whole.replace(b"1.2.840.10008.5.1.4.1.1.2", MARK.encode().ljust(25)),
        "damaged run lengths": dicom(3, syntax=RLELossless)[:-90] + bytes(90),
    }
    files = {
        **{f"{name}.dcm": data for name, data in broken.items()},
        **{f"{number}.dcm": dicom(number) for number in range(2)},
        "run lengths.dcm": dicom(2, syntax=RLELossless),
        "picture.png": picture(),
        "damaged.png": picture().replace(b"IDAT", b"IDOT"),
        "letter.txt": MARK.encode(),
    }
    for name, data in files.items():
        (inside / f"{PERSON} {name}").write_bytes(data)
    with zipfile.ZipFile(inside / f"{PERSON}.zip", "w") as archive:
        archive.writestr(f"{PERSON}/a.dcm", dicom(4))
        archive.writestr(f"../{PERSON}.dcm", whole)
        archive.writestr(f"{PERSON}/letter.txt", MARK)
        archive.writestr(f"{PERSON}/cut.dcm", whole[:-100])
    (inside.parent / "key").write_bytes(KEY)
    return inside


def run(folder: Path, *arguments: object, key: bool = True) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **({KEY_FILE: str(folder.parent / "key")} if key else {})}
    command = [sys.executable, "-m", "dualsight", *map(str, arguments)]
    return subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, timeout=240)


def holds(data: bytes, word: str) -> bool:
    """In any of the encodings in which files hold text, and in any letter case."""
    data = data.lower()
    return any(word.lower().encode(encoding) in data for encoding in ("utf-8", "utf-16-le", "utf-32-le"))


def everything_in(path: Path) -> bytes:
    """A vector file's bytes, and its text unpacked."""
    match path.suffix:
        case ".npz":
            with np.load(path, allow_pickle=False) as file:
                text = {name: file[name].tolist() for name in file.files if name != "vectors"}
        case ".parquet":
            table = pyarrow.parquet.read_table(path)
            text = {"metadata": str(table.schema.metadata), "rows": table.drop(["vector"]).to_pydict()}
        case _:
            with safe_open(path, "numpy") as file:
                text = file.metadata()
    return path.read_bytes() + json.dumps(text, ensure_ascii=False, default=str).encode()


COMMANDS = {
    "npz": ("embed", "-o", "out.npz", "--per", "series"),
    "parquet": ("embed", "-o", "out.parquet", "--per", "frame"),
    "safetensors": ("embed", "-o", "out.safetensors", "--per", "study"),
    "text": ("classify", "--labels", "pneumonia,no finding"),
    "json": ("classify", "--labels", "pneumonia,no finding", "--json", "--per", "series"),
    "csv": ("classify", "--labels", "pneumonia,no finding", "--csv", "--per", "frame"),
    "info": ("image", "info", "--json"),
}


def all_of(folder: Path, command: tuple[str, ...], *more: str) -> tuple[bytes, subprocess.CompletedProcess[bytes]]:
    """What a command over the folder and over a file that is not there says and writes."""
    done = run(folder, *command, *more, folder.name, f"{PERSON} lost.dcm")
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr.decode()
    out = folder.parent / command[2] if "-o" in command else None
    return done.stdout + done.stderr + (everything_in(out) if out else b""), done


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_deidentified_output_names_nobody(command: tuple[str, ...], folder: Path) -> None:
    (folder / f"{PERSON} odd terms.dcm").write_bytes(dicom(5, terms=False))
    said, done = all_of(folder, command, "--deidentify")
    for word in (MARK, PERSON, ROOT, "Anna", "19470311", "20210911", KEY.decode()):
        assert not holds(said, word), word
    n_errors = 4 if command[0] == "image" else 6  # it reads headers alone
    assert (
        b"hmac-" in said and done.stderr.count(b"error: hmac-") >= n_errors and done.stderr.count(b"skipped hmac-") >= 2
    )
    if command[0] != "image" and command[-1] != "pneumonia,no finding":
        assert hashed_uid(f"{ROOT}1", KEY).encode() in said  # the study is still one


@pytest.mark.parametrize(
    "command", [COMMANDS["parquet"], COMMANDS["json"], ("image", "info"), ("image", "info", "--json")]
)
def test_without_it_results_have_names_of_files_and_uids_and_nothing_of_the_patient(
    command: tuple[str, ...], folder: Path
) -> None:
    (folder / f"{PERSON} odd terms.dcm").unlink(missing_ok=True)
    said, _ = all_of(folder, command)
    for word in (MARK, "19470311", "20210911"):
        assert not holds(said, word), word
    assert holds(said, PERSON)
    assert command[0] == "image" or holds(said, f"{ROOT}1.2")


def test_a_name_depends_on_the_key_alone_and_uids_are_valid(folder: Path) -> None:
    file = f"{folder.name}/{PERSON} 0.dcm"
    done = run(folder, "classify", "--labels", "a,b", "--json", "--deidentify", file)
    (row,) = json.loads(done.stdout)["results"]
    assert row["source"] == hashed_name(file, KEY) and UID(row["sop_instance_uid"]).is_valid


def test_without_a_key_nothing_is_opened(folder: Path) -> None:
    done = run(folder, "embed", folder.name, "-o", "none.npz", "--deidentify", key=False)
    assert done.returncode == 1 and b"no key to de-identify with" in done.stderr and b"secrets.token_hex" in done.stderr
    assert not (folder.parent / "none.npz").exists()
