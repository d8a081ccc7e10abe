from __future__ import annotations

import base64
import gzip
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

import dualsight.image
from dualsight.errors import ImageError, ImageTooLarge, UnreadableImage, UnsupportedImage
from dualsight.image import Frame, Limits
from dualsight.image.sniff import kind_of, raster_format
from picture_files import png

FOLDER = Path(__file__).parents[2] / "data" / "images"
VALUES = np.random.default_rng(1).integers(0, 256, (6, 5, 3), dtype=np.uint8)
PNG = png(VALUES)
TEXT = base64.b64encode(PNG).decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a picture.txt"  # the suffix says nothing
    file.write_bytes(PNG)
    return file


SOURCES = {
    "bytes": PNG,
    "bytearray": bytearray(PNG),
    "memoryview": memoryview(PNG),
    "file": io.BytesIO(PNG),
    "base64": TEXT,
    "base64 in lines": "\n".join(TEXT[i : i + 20] for i in range(0, len(TEXT), 20)) + "\n",
    "base64 without padding": TEXT.rstrip("="),
    "data URL": f"data:image/png;base64,{TEXT}",
    "data URL with a parameter, in lines": f"data:image/png;charset=utf-8;base64,\r\n{TEXT[:40]}\r\n{TEXT[40:]}",
    "Pillow": Image.fromarray(VALUES),
    "array": VALUES,
    "Frame": Frame(pixels=VALUES, source="mine"),
    "gzip": gzip.compress(PNG),
}


@pytest.mark.parametrize("name", SOURCES)
def test_one_door_for_every_source(name: str) -> None:
    if hasattr(SOURCES[name], "seek"):
        SOURCES[name].seek(0)
    (frame,) = dualsight.image.open(SOURCES[name])
    np.testing.assert_array_equal(frame.pixels, VALUES)
    assert frame.source == ("mine" if name == "Frame" else "image")


def test_paths_open_by_content_and_keep_the_users_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    for source in (path, str(path), path.name):
        (frame,) = dualsight.image.open(source)
        np.testing.assert_array_equal(frame.pixels, VALUES)
        assert frame.source == str(source)
    (frame,) = dualsight.image.open(path, source="image 3")
    assert frame.source == "image 3"


def test_a_file_whose_name_is_base64_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("QUJD").write_bytes(PNG)
    assert len(list(dualsight.image.open("QUJD"))) == 1


def test_nothing_is_opened_before_the_first_frame_is_asked_for() -> None:
    frames = dualsight.image.open("no such picture.png")
    with pytest.raises(UnreadableImage):
        next(frames)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_dicom_goes_to_its_decoder_whatever_holds_it(as_bytes: bool) -> None:
    path = FOLDER / "pydicom" / "CT_small.dcm"
    (frame,) = dualsight.image.open(path.read_bytes() if as_bytes else path, window=(40, 400))
    assert frame.pixels.shape == (128, 128, 3)
    assert frame.meta.format == "DICOM" and frame.meta.modality == "CT"


@pytest.mark.parametrize("holder", ["path", "bytes", "gzip path", "gzip bytes"])
def test_volumes_go_to_their_decoder_whatever_holds_them(holder: str, tmp_path: Path) -> None:
    data = (FOLDER / "nibabel" / "anatomical.nii").read_bytes()
    data = gzip.compress(data, 1) if "gzip" in holder else data
    (tmp_path / "v").write_bytes(data)
    frame = next(dualsight.image.open(tmp_path / "v" if "path" in holder else data))
    assert frame.pixels.dtype == np.uint8 and frame.meta.format == "NIfTI" and frame.n_frames > 1


def refused(thing: Any, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        list(dualsight.image.open(thing, **options))
    return caught.value


def test_a_wrong_path_names_what_was_tried() -> None:
    error = refused("scans/lost.png")
    assert isinstance(error, UnreadableImage)
    assert str(error).startswith("scans/lost.png: neither an existing file, nor a data URL, nor the base64")
    assert "no such file" in str(refused(Path("scans/lost.png")))


def test_somebodys_picture_is_not_repeated_in_an_error() -> None:
    broken = TEXT[: len(TEXT) // 8 * 4] * 9
    for source in (broken, f"data:image/png;base64,{broken}", "data:image/png,%89PNG" + "A" * 400):
        error = refused(source)
        assert len(str(error)) < 200 and TEXT[30:50] not in str(error) + error.hint


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        (b"", UnreadableImage, "empty"),
        (b"%PDF-1.7 ...", UnsupportedImage, "PDF"),
        (b"plain words", UnsupportedImage, "no format that is known"),
        (PNG[:60], UnreadableImage, "truncated"),
        (gzip.compress(PNG)[:-12], UnreadableImage, "truncated gzip"),
        (gzip.compress(gzip.compress(PNG)), UnsupportedImage, "what is inside is no picture"),
        (b"\x1f\x8b\x08" + b"\xff" * 40, UnreadableImage, "damaged gzip"),
        (42, UnsupportedImage, "a int is no picture"),
        (None, UnsupportedImage, "a NoneType is no picture"),
        (io.StringIO("text"), UnsupportedImage, "gives no bytes"),
        ("", UnreadableImage, ""),
        ("\0", UnreadableImage, "neither an existing file"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(source: Any, kind: type[ImageError], words: str) -> None:
    error = refused(source, source="scan 7")
    assert isinstance(error, kind) and str(error).startswith("scan 7: ") and words in str(error)


def test_a_file_object_may_give_its_bytes_in_parts() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 7, 7))

    (frame,) = dualsight.image.open(Trickle(PNG))
    np.testing.assert_array_equal(frame.pixels, VALUES)


def test_a_file_object_without_end_is_read_to_the_limit_only() -> None:
    class Endless:
        def read(self, size: int = -1, /) -> bytes:
            assert 0 < size <= 1001
            return PNG[:size].ljust(min(size, 300), b"\0")

    assert isinstance(refused(Endless(), limits=Limits(file_bytes=1000)), ImageTooLarge)


def test_a_closed_file_is_refused() -> None:
    file = io.BytesIO(PNG)
    file.close()
    assert "cannot be read" in str(refused(file))


def test_folders_archives_and_pipes_are_refused(tmp_path: Path) -> None:
    assert "no regular file" in str(refused(tmp_path)) and "scan" in refused(tmp_path).hint
    os.mkfifo(tmp_path / "pipe")
    pipe = refused(tmp_path / "pipe")  # and does not wait for a writer
    assert "no regular file" in str(pipe) and not pipe.hint
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        archive.writestr("a.png", PNG)
    assert "zip archive" in str(refused(tmp_path / "many.zip"))


def test_a_file_without_permission_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)  # root, who runs CI, may read every file
    assert "cannot be read (Permission denied)" in str(refused(path))


def test_files_over_the_byte_limit_are_not_read(path: Path) -> None:
    small = Limits(file_bytes=50)
    for source in (PNG, path, io.BytesIO(PNG), TEXT, gzip.compress(bytes(10_000))):
        assert isinstance(refused(source, limits=small), ImageTooLarge)


def test_limits_hold_for_arrays_and_pillow_images() -> None:
    for source in (VALUES, Image.fromarray(VALUES), PNG):
        assert isinstance(refused(source, limits=Limits(pixels=29)), ImageTooLarge)
        assert len(list(dualsight.image.open(source, limits=Limits(pixels=30)))) == 1


def test_base64_longer_than_any_path_is_base64() -> None:
    large = np.random.default_rng(3).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    (frame,) = dualsight.image.open(base64.b64encode(png(large)).decode())
    np.testing.assert_array_equal(frame.pixels, large)


def test_a_dicom_file_that_is_also_a_tiff_is_dicom() -> None:
    assert kind_of(b"II*\0".ljust(128, b"\0") + b"DICM") == "dicom"
    assert kind_of(b"II*\0".ljust(132, b"\0")) == "raster"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x5c\x01\0\0".ljust(344, b"\0") + b"n+1\0", "volume"),
        (b"\0\0\x01\x5c".ljust(344, b"\0") + b"ni1\0", "volume"),
        (b"\x1c\x02\0\0n+2\0\r\n\x1a\n".ljust(540, b"\0"), "volume"),
        (b"NRRD0004\n", "volume"),
        (b"ObjectType = Image\n", "volume"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"BM are the letters that this sentence opens with", None),
        (b"P5 16 16 255\n", "raster"),
        (b"P5th Avenue", None),
    ],
)
def test_kinds_are_told_by_content(head: bytes, kind: str | None) -> None:
    assert kind_of(head) == kind


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600))
@example(b"BM".ljust(14, b"\0") + b"\x28\0\0\0")
def test_any_bytes_end_in_frames_or_an_image_error(data: bytes) -> None:
    try:
        for frame in dualsight.image.open(data, limits=Limits(pixels=10**6)):
            assert raster_format(data) or kind_of(data) == "dicom"
            assert frame.pixels.dtype == np.uint8
    except ImageError as error:
        assert error.source == "image"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_ends_in_an_image_error(text: str) -> None:
    with pytest.raises(ImageError):
        list(dualsight.image.open(f"\N{SNOWMAN}{text}"))


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, dualsight.image; print([m for m in ('numpy', 'PIL', 'pydicom', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_function_open_is_not_hidden_by_the_module_open() -> None:
    from dualsight.image.open import open as from_module

    assert dualsight.image.open is from_module


@pytest.mark.parametrize("text", ["data:" + " " * 200_000, "data:" + ";" * 200_000, "data:" + "; base64" * 50_000])
def test_a_long_text_that_is_no_data_url_is_told_in_the_time_of_its_length(text: str) -> None:
    """Two runs of the pattern once shared its blanks between them in every way that there is: 200,000 took hours."""
    assert isinstance(refused(text), UnreadableImage)


@pytest.mark.parametrize(
    "head", ["data:;base64,", " DATA:image/png; Base64 ,", "data:a;b=c;base64,", "data:base64;base64,"]
)
def test_a_data_url_may_be_written_loosely(head: str) -> None:
    (frame,) = dualsight.image.open(head + TEXT)
    np.testing.assert_array_equal(frame.pixels, VALUES)


def test_a_data_url_that_is_not_base64_is_refused() -> None:
    for head in ("data:,", "data:image/png,", "data:base64,", "data:;base64;x=y,"):
        assert isinstance(refused(head + TEXT), UnreadableImage)
