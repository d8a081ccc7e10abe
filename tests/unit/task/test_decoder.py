"""The child process that opens pictures, as a real process."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import MRImageStorage

from dicom_files import PATIENT, dicom_bytes
from dualsight.errors import ImageError, ImageTooLarge, UnreadableImage, UnsupportedImage
from dualsight.image.limits import Limits
from dualsight.image.open import read
from dualsight.image.prepare import Preprocessing, resize
from dualsight.image.reading import Reading
from dualsight.task import decoder as decoder_module
from dualsight.task.decoder import Decoder, NoDecoder, UnexpectedEnd
from picture_files import png

PREPROCESSING = Preprocessing(height=30, width=20, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
READING = Reading(window=(40.0, 400.0), limits=Limits(pixels=100_000))
RNG = np.random.default_rng(2)
PICTURE = RNG.integers(0, 256, (50, 60, 3), dtype=np.uint8)
CT = dicom_bytes(
    RNG.integers(-1000, 1000, (40, 50), dtype=np.int16), PixelSpacing=[0.5, 0.75], StudyInstanceUID="1.2.3"
)
CINE = dicom_bytes(RNG.integers(0, 4096, (5, 40, 50), dtype=np.uint16))


@pytest.fixture(scope="module")
def shared() -> Iterator[Decoder]:
    """One child for all tests that leave it alive."""
    decoder = Decoder(PREPROCESSING, READING)
    yield decoder
    assert not decoder.is_closed
    decoder.close()


@pytest.mark.parametrize("content", [png(PICTURE), CT, CINE], ids=["png", "ct", "cine"])
@pytest.mark.parametrize("as_path", [False, True])
def test_the_same_frames_as_in_this_process(shared: Decoder, content: bytes, as_path: bool, tmp_path: Path) -> None:
    path = tmp_path / "été\udc80 picture"  # no valid text
    path.write_bytes(content)
    found = list(shared.frames(path if as_path else content, "my words"))
    expected = list(read(content, READING, source="my words"))
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert np.array_equal(ours.pixels, resize(theirs.pixels, PREPROCESSING))
        assert ours.meta == theirs.meta
        named = ("source", "frame_index", "n_frames")
        assert [getattr(ours, name) for name in named] == [getattr(theirs, name) for name in named]


def test_a_relative_path_is_this_process_s(shared: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "picture").write_bytes(png(PICTURE))
    monkeypatch.chdir(tmp_path)
    assert len(list(shared.frames(Path("picture"), "picture"))) == 1


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (png(PICTURE)[:-90], UnreadableImage),
        (b"", UnreadableImage),
        (dicom_bytes(None, SOPClassUID=MRImageStorage), UnsupportedImage),
        (png(np.zeros((400, 400, 3), np.uint8)), ImageTooLarge),
        (CINE[:-4001], UnreadableImage),
    ],
    ids=["truncated", "empty", "no pixels", "too large", "last frame missing"],
)
def test_the_same_errors_as_in_this_process(shared: Decoder, content: bytes, kind: type[ImageError]) -> None:
    with pytest.raises(kind) as expected:
        list(read(content, READING, source="bad one"))
    with pytest.raises(kind) as found:
        list(shared.frames(content, "bad one"))
    for name in ("problem", "source", "frame", "hint"):
        assert getattr(found.value, name) == getattr(expected.value, name)
    assert str(found.value) == str(expected.value)
    assert PATIENT not in str(found.value)
    assert len(list(shared.frames(CT, "good one"))) == 1  # it goes on


def test_frames_come_as_they_are_made() -> None:
    """The child holds no more than a pipe does: the rest of a long file waits for its reader."""
    large = Preprocessing(height=600, width=600, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    decoder = Decoder(large, Reading())
    frames = decoder.frames(dicom_bytes(np.arange(40 * 4, dtype=np.uint8).reshape(40, 2, 2)), "cine")
    assert next(frames).n_frames == 40
    os.kill(decoder._process.pid, signal.SIGKILL)
    with pytest.raises(UnreadableImage, match="cine: the process that opened it ended"):
        list(frames)
    assert decoder.is_closed


def test_a_child_that_has_died_is_the_picture_s_error() -> None:
    decoder = Decoder(PREPROCESSING, READING)
    os.kill(decoder._process.pid, signal.SIGSEGV)
    decoder._process.wait()
    with pytest.raises(UnreadableImage, match=rf"scan\.dcm: .* ended \(signal {int(signal.SIGSEGV)}\)") as raised:
        list(decoder.frames(CT, "scan.dcm"))
    assert raised.value.hint
    assert decoder.is_closed


def test_frames_that_nobody_reads_end_the_child() -> None:
    decoder = Decoder(PREPROCESSING, READING)
    frames = decoder.frames(CINE, "cine")
    next(frames)
    frames.close()  # type: ignore[attr-defined]  # an iterator made by a generator
    assert decoder.is_closed
    assert decoder._process.returncode is not None
    decoder.close()  # once more does no harm


def test_an_error_that_nobody_foresaw_is_no_image_error() -> None:
    broken = Reading(limits=Limits(file_bytes="many"))  # type: ignore[arg-type]  # a mistake
    decoder = Decoder(PREPROCESSING, broken)
    with pytest.raises(UnexpectedEnd, match="TypeError"):
        list(decoder.frames(png(PICTURE), "picture"))
    assert not decoder.is_closed
    decoder.close()


def test_it_loads_no_torch_and_nothing_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pydicom.py").write_text("raise SystemExit('imported from among the pictures')")
    (tmp_path / "picture").write_bytes(CT)
    monkeypatch.chdir(tmp_path)
    decoder = Decoder(PREPROCESSING, READING)
    assert len(list(decoder.frames(Path("picture"), "picture"))) == 1
    if sys.platform == "linux":
        assert "libtorch" not in Path(f"/proc/{decoder._process.pid}/maps").read_text()
    decoder.close()


def test_what_a_library_prints_does_not_come_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, PIL.Image\n"
        "new = PIL.Image.Image.resize\n"
        "def printing(*args, **options):\n"
        "    os.write(1, b'a codec says hello')\n"
        f"    pathlib.Path({str(tmp_path / 'said')!r}).touch()\n"
        "    return new(*args, **options)\n"
        "PIL.Image.Image.resize = printing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    decoder = Decoder(PREPROCESSING, READING)
    assert len(list(decoder.frames(png(PICTURE), "picture"))) == 1
    assert (tmp_path / "said").exists()
    decoder.close()


def test_a_codec_that_never_comes_back_is_the_picture_s_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import re, PIL.Image\n"
        "new = PIL.Image.Image.resize\n"
        "def hanging(image, *args, **options):\n"
        "    if image.width == 13:\n"
        "        re.match('(a+)+$', 'a' * 64 + 'b')\n"  # for ever, in C and under Python's lock
        "    return new(image, *args, **options)\n"
        "PIL.Image.Image.resize = hanging\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    decoder = Decoder(PREPROCESSING, Reading(limits=Limits(frame_s=1.0)))
    assert len(list(decoder.frames(png(PICTURE), "picture"))) == 1
    with pytest.raises(UnreadableImage, match=r"^bad: opening it took longer than the limit of 1 seconds$") as raised:
        list(decoder.frames(png(PICTURE[:, :13]), "bad"))
    assert raised.value.hint
    assert decoder.is_closed


def test_the_limit_of_time_is_for_each_frame_and_not_for_the_reader() -> None:
    large = Preprocessing(height=600, width=600, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    decoder = Decoder(large, Reading(limits=Limits(frame_s=1.0)))
    frames = decoder.frames(dicom_bytes(np.arange(40 * 4, dtype=np.uint8).reshape(40, 2, 2)), "cine")
    next(frames)
    time.sleep(1.5)  # the pipe is full meanwhile
    assert len(list(frames)) == 39
    decoder.close()


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/true", "/bin/cat"])
def test_a_program_that_is_no_python(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(NoDecoder):
        Decoder(PREPROCESSING, READING)


def test_a_frozen_program_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(decoder_module.subprocess, "Popen", None)
    with pytest.raises(NoDecoder):
        Decoder(PREPROCESSING, READING)
