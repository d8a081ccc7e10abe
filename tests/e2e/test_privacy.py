"""What files say of a patient never comes out, and with --deidentify not even what the files are called."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from itertools import pairwise
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
from dualsight.store.index import Index
from folder_contents import contents
from picture_files import saved

pytestmark = pytest.mark.e2e

MARK = "QZXVJKWPH"  # stands in every attribute that is text
PERSON = "Bvqxjzk"  # stands in every file name, as people's names do
ROOT = "1.2.826.0.1.3680043.99."
KEY = b"a secret of thirty-two bytes, ok"
PATIENT = (MARK, "19470311", "20210911")  # what never comes out
IDENTIFYING = (*PATIENT, PERSON, "Anna", ROOT, KEY.decode())  # what does not with --deidentify either
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
    return saved(np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8), "PNG", pnginfo=words)


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
    for place in LEFT:
        (inside.parent / place).mkdir()
    return inside


@pytest.fixture(scope="module")
def learnt(folder: Path) -> subprocess.CompletedProcess[bytes]:
    """`adapt train` on eight more slices of four patients, of which one is cut off: adapter.safetensors."""
    lines = ["path,label,patient"]
    for number in range(8):
        name = f"{PERSON} {number} to learn from.dcm"
        (folder.parent / name).write_bytes(dicom(10 + number)[: -100 if number == 5 else None])
        lines.append(f"{name},{('dark', 'bright')[number % 2]},{MARK}{number // 2}")
    (folder.parent / "table.csv").write_text("\n".join(lines))
    return run(folder, "adapt", "train", "table.csv", "--kind", "linear", "-o", "adapter.safetensors")


LEFT = {"cache": "DUALSIGHT_CACHE", "tmp": "TMPDIR"}  # where a command may leave files that nobody asked for


def run(folder: Path, *arguments: object, key: bool = True) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **({KEY_FILE: str(folder.parent / "key")} if key else {})}
    environment |= {name: str(folder.parent / place) for place, name in LEFT.items()}
    command = [sys.executable, "-m", "dualsight", *map(str, arguments)]
    return subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, timeout=240)


def holds(data: bytes, word: str) -> bool:
    """In any of the encodings in which files hold text, and in any letter case."""
    data = data.lower()
    return any(word.lower().encode(encoding) in data for encoding in ("utf-8", "utf-16-le", "utf-32-le"))


def everything_in(path: Path) -> bytes:
    """The bytes of what a command wrote, and its text unpacked; of a folder, its files' names and bytes."""
    match path.suffix:
        case ".png":
            with Image.open(path) as image:
                text = image.info
        case ".dcm":
            text = str(dcmread(path))
        case ".db":
            text = [batch.drop_columns(["vector"]).to_pylist() for batch in Index(path).batches()]
        case "":
            text = None
        case ".npz":
            with np.load(path, allow_pickle=False) as file:
                text = {name: file[name].tolist() for name in file.files if name != "vectors"}
        case ".parquet":
            table = pyarrow.parquet.read_table(path)
            text = {"metadata": str(table.schema.metadata), "rows": table.drop(["vector"]).to_pydict()}
        case _:
            with safe_open(path, "numpy") as file:
                text = file.metadata()
    files = contents(path) if path.is_dir() else {path.name: path.read_bytes()}
    stored = b"".join(name.encode() + data for name, data in files.items())
    return stored + json.dumps(text, ensure_ascii=False, default=str).encode()


COMMANDS = {
    "npz": ("embed", "-o", "out.npz", "--per", "series"),
    "parquet": ("embed", "-o", "out.parquet", "--per", "frame"),
    "safetensors": ("embed", "-o", "out.safetensors", "--per", "study"),
    "text": ("classify", "--labels", "pneumonia,no finding"),
    "json": ("classify", "--labels", "pneumonia,no finding", "--json", "--per", "series"),
    "csv": ("classify", "--labels", "pneumonia,no finding", "--csv", "--per", "frame"),
    "info": ("image", "info", "--json"),
    "predicted json": ("adapt", "predict", "--adapter", "adapter.safetensors", "--json", "--per", "series"),
    "predicted csv": ("adapt", "predict", "--adapter", "adapter.safetensors", "--csv", "--per", "frame"),
    "index": ("index", "add", "--db", "out.db", "--per", "volume"),
}


def all_of(folder: Path, command: tuple[str, ...], *more: str) -> tuple[bytes, subprocess.CompletedProcess[bytes]]:
    """What a command over the folder and over a file that is not there says, writes and leaves behind."""
    shutil.rmtree(folder.parent / "out.db", ignore_errors=True)  # another test's, whose names may be keyed
    done = run(folder, *command, *more, folder.name, f"{PERSON} lost.dcm")
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr.decode()
    return said_and_written(folder, command, done), done


def said_and_written(folder: Path, command: tuple[str, ...], done: subprocess.CompletedProcess[bytes]) -> bytes:
    written = [folder.parent / name for option, name in pairwise(command) if option in ("-o", "--db")]
    left = [folder.parent / place for place in LEFT]
    return b"".join([done.stdout, done.stderr, *map(everything_in, (*written, *left))])


@pytest.mark.usefixtures("learnt")
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_deidentified_output_names_nobody(command: tuple[str, ...], folder: Path) -> None:
    (folder / f"{PERSON} odd terms.dcm").write_bytes(dicom(5, terms=False))
    said, done = all_of(folder, command, "--deidentify")
    for word in IDENTIFYING:
        assert not holds(said, word), word
    n_errors = 4 if command[0] == "image" else 6  # it reads headers alone
    assert (
        b"hmac-" in said and done.stderr.count(b"error: hmac-") >= n_errors and done.stderr.count(b"skipped hmac-") >= 2
    )
    if command[0] != "image" and {"-o", "--json", "--csv", "--db"} & set(command):
        assert hashed_uid(f"{ROOT}1", KEY).encode() in said  # the study is still one


@pytest.mark.usefixtures("learnt")
@pytest.mark.parametrize(
    "command",
    [
        *(COMMANDS[name] for name in ("parquet", "json", "predicted json", "index")),
        ("image", "info"),
        ("image", "info", "--json"),
    ],
)
def test_without_it_results_have_names_of_files_and_uids_and_nothing_of_the_patient(
    command: tuple[str, ...], folder: Path
) -> None:
    (folder / f"{PERSON} odd terms.dcm").unlink(missing_ok=True)
    said, _ = all_of(folder, command)
    for word in PATIENT:
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


def test_an_adapter_and_its_figures_name_nobody(learnt: subprocess.CompletedProcess[bytes], folder: Path) -> None:
    assert learnt.returncode == 1 and b"learnt from" in learnt.stdout
    written = everything_in(folder.parent / "adapter.safetensors")
    for word in IDENTIFYING:
        assert not holds(learnt.stdout + written, word), word
    assert f"error: {PERSON} 5 to learn from.dcm, frame 0: truncated".encode() in learnt.stderr  # as the table calls it
    for word in (*PATIENT, ROOT):
        assert not holds(learnt.stderr, word), word


def explain(folder: Path, picture: str, other: str, *more: str) -> tuple[bytes, subprocess.CompletedProcess[bytes]]:
    """What `explain` says, writes and leaves behind, with maps of words and of what is like another picture."""
    names = [f"{folder.name}/{PERSON} {name}" for name in (picture, other)]
    words = ("--labels", "pneumonia,no finding", "--method", "token-shares")
    done = run(folder, "explain", names[0], "--like", names[1], *words, *more)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return said_and_written(folder, more if done.returncode == 0 else (), done), done


@pytest.mark.parametrize("name", ["", "map.png", "map.npz", "map.dcm"])
def test_a_deidentified_explanation_names_nobody(name: str, folder: Path) -> None:
    (folder / f"{PERSON} odd terms.dcm").write_bytes(dicom(5, terms=False))
    said, done = explain(folder, "odd terms.dcm", "0.dcm", "--deidentify", *(("-o", name) if name else ("--json",)))
    assert done.returncode == 0, done.stderr.decode()
    for word in IDENTIFYING:
        assert not holds(said, word), word
    assert hashed_name(f"{folder.name}/{PERSON} odd terms.dcm", KEY).encode() in done.stdout
    assert hashed_name(f"{folder.name}/{PERSON} 0.dcm", KEY).encode() in done.stdout
    assert name != "map.dcm" or hashed_uid(f"{ROOT}1", KEY).encode() in said  # the study is still one


@pytest.mark.parametrize("bad", ["lost.dcm", "cut pixels.dcm", "letter.txt"])
def test_an_explanation_that_fails_names_nobody(bad: str, folder: Path) -> None:
    for picture, other in ((bad, "0.dcm"), ("0.dcm", bad)):
        said, done = explain(folder, picture, other, "--deidentify", "-o", "none.dcm")
        assert done.returncode == 1 and b"error: hmac-" in done.stderr, done.stderr.decode()
        for word in IDENTIFYING:
            assert not holds(said, word), word


@pytest.mark.parametrize("name", ["map.png", "map.npz", "map.dcm"])
def test_an_explanation_tells_of_the_patient_in_a_dicom_file_alone(name: str, folder: Path) -> None:
    said, done = explain(folder, "1.dcm", "0.dcm", "-o", name)
    assert done.returncode == 0 and holds(done.stdout, PERSON), done.stderr.decode()
    for word in PATIENT:
        assert holds(said, word) == (name == "map.dcm"), word
        assert not holds(done.stdout + done.stderr, word), word
