from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dualsight.image.dicom.codestream import Codestream, is_complete, mend_scan_header, read_codestream, without_boxes
from picture_files import saved


def encoded(kind: str, size: tuple[int, int] = (7, 5), mode: str = "RGB") -> bytes:
    return saved(Image.new(mode, size), kind)


def test_a_jpegs_size_and_samples_are_told() -> None:
    assert read_codestream(encoded("JPEG")) == Codestream("jpeg", 5, 7, 3, 0xC0)
    assert read_codestream(encoded("JPEG", mode="L")).samples == 1


def test_a_jpeg_2000s_size_is_told_within_its_boxes_and_without() -> None:
    boxed = encoded("JPEG2000")
    bare = boxed[boxed.index(b"\xff\x4f\xff\x51") :]
    assert read_codestream(boxed) == read_codestream(bare) == Codestream("jpeg2000", 5, 7, 3)


def test_a_codestream_is_found_behind_any_boxes_and_nowhere_else() -> None:
    boxed = encoded("JPEG2000")
    far = boxed[:12] + struct.pack(">L4s", 9008, b"free") + bytes(9000) + boxed[12:]
    assert read_codestream(far) == read_codestream(boxed)
    assert read_codestream(b"\1" + without_boxes(boxed)) is None


def test_boxes_are_taken_off_and_other_data_are_left() -> None:
    boxed = encoded("JPEG2000")
    bare = boxed[boxed.index(b"\xff\x4f\xff\x51") :]
    assert without_boxes(boxed) == without_boxes(bare) == bare
    assert without_boxes(boxed[: len(boxed) - len(bare)]) == b""
    assert without_boxes(encoded("JPEG")) == encoded("JPEG")


def test_an_offset_counts_off_the_size_and_absurd_tiles_are_not_sane() -> None:
    def siz(width: int, height: int, x0: int, y0: int, tile: int) -> bytes:
        return b"\xff\x4f\xff\x51" + struct.pack(">HH8IH", 47, 0, width, height, x0, y0, tile, tile, 0, 0, 3)

    assert read_codestream(siz(10, 8, 3, 2, 100)) == Codestream("jpeg2000", 6, 7, 3)
    assert read_codestream(siz(10, 8, 3, 2, 100)).is_sane
    assert not read_codestream(siz(4_000_000_000, 8, 0, 0, 1)).is_sane
    assert not read_codestream(siz(10, 8, 0, 0, 0)).is_sane
    assert not read_codestream(siz(10, 8, 11, 0, 5)).is_sane


def test_what_is_neither_is_none() -> None:
    assert read_codestream(b"") is None
    assert read_codestream(b"\x01\0\0\0" + bytes(60)) is None  # RLE
    assert read_codestream(encoded("PNG")) is None


def test_completeness_allows_a_pad_byte_and_misses_a_cut() -> None:
    data = encoded("JPEG")
    assert is_complete(data) and is_complete(data + b"\0")
    assert not is_complete(data[:-2])


def test_only_a_sequential_scan_header_is_mended() -> None:
    data = encoded("JPEG", mode="L")
    at = data.index(b"\xff\xda") + 4 + 3  # marker, length; one component's three bytes
    assert data[at : at + 3] == b"\x00\x3f\x00"
    broken = data[:at] + b"\0\0\0" + data[at + 3 :]
    assert mend_scan_header(broken) == data
    assert mend_scan_header(data) == data
    lossless = broken.replace(b"\xff\xc0", b"\xff\xc3")
    assert mend_scan_header(lossless) == lossless


@settings(deadline=None, max_examples=200)  # a shared machine stalls
@given(st.binary(max_size=80), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"\xff\x4f\xff\x51"]))
def test_no_bytes_crash_it(data: bytes, head: bytes) -> None:
    read_codestream(head + data)
    assert len(mend_scan_header(head + data)) == len(head + data)
