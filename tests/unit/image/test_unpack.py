from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from dualsight.errors import ImageTooLarge, UnreadableImage, UnsupportedImage
from dualsight.image.limits import Limits
from dualsight.image.unpack import gunzip, unpack_base64, unzipped
from picture_files import png

PNG = png(np.zeros((2, 2, 3), np.uint8))


def test_what_is_not_zipped_comes_back_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(PNG)
    assert unzipped(path, "x", Limits()) is path and unzipped(PNG, "x", Limits()) is PNG


def test_a_file_is_the_bytes_inside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(gzip.compress(PNG))
    assert unzipped(path, "x", Limits()) == unzipped(path.read_bytes(), "x", Limits()) == PNG


@pytest.mark.parametrize("inner", [gzip.compress(PNG), b"words", b"", b"PK\3\4"])
def test_what_is_wrapped_twice_or_no_picture_is_refused(inner: bytes) -> None:
    """There are gzip files that hold themselves."""
    with pytest.raises(UnsupportedImage, match="what is inside is no picture"):
        unzipped(gzip.compress(inner), "x", Limits())


def test_a_zipped_file_is_bounded_packed_and_unpacked() -> None:
    packed = gzip.compress(PNG + bytes(10_000))
    for limit in (len(packed) - 1, len(packed) + 1):
        with pytest.raises(ImageTooLarge):
            unzipped(packed, "x", Limits(file_bytes=limit))


def test_gzip_members_are_joined_and_bounded() -> None:
    two = gzip.compress(b"one, ") + gzip.compress(b"two")
    assert gunzip(two, "x", Limits()) == b"one, two"
    with pytest.raises(ImageTooLarge):
        gunzip(two, "x", Limits(file_bytes=7))


def test_a_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(ImageTooLarge):
        gunzip(bomb, "x", Limits(file_bytes=1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_cut_or_damaged_file_is_broken() -> None:
    for data, words in ((gzip.compress(PNG)[:-12], "truncated"), (b"\x1f\x8b\x08" + b"\xff" * 40, "damaged")):
        with pytest.raises(UnreadableImage, match=words):
            unzipped(data, "x", Limits())


def test_base64_may_be_broken_into_lines_and_lack_its_padding() -> None:
    assert unpack_base64("QUJD\r\nRA") == unpack_base64("QUJDRA==") == b"ABCD"
    assert unpack_base64("no, words") is None and unpack_base64("Ä") is None
