from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.image.dicom.rle import unpack_rle


def frame(*segments: bytes, n_segments: int | None = None) -> bytes:
    offsets, at = [], 64
    for segment in segments:
        offsets.append(at)
        at += len(segment)
    header = struct.pack("<16L", n_segments or len(segments), *offsets, *[0] * (15 - len(offsets)))
    return header + b"".join(segments)


LITERAL = bytes([3]) + b"abcd"  # four bytes as they are


def test_runs_and_literals_are_undone() -> None:
    run = bytes([257 - 3]) + b"z"
    assert unpack_rle(frame(run + bytes([0]) + b"y"), 4, 1, 1) == b"zzzy"


def test_bytes_of_a_sample_come_most_significant_first_and_leave_least_significant_first() -> None:
    assert unpack_rle(frame(LITERAL, bytes([3]) + b"ABCD"), 4, 1, 2) == b"AaBbCcDd"


def test_samples_stay_planes() -> None:
    packed = frame(*(bytes([1]) + pair for pair in (b"rr", b"gg", b"bb")))
    assert unpack_rle(packed, 2, 3, 1) == b"rrggbb"


def test_a_run_may_go_on_into_the_next_row() -> None:
    """PS3.5 G.3.1 forbids it, and encoders do it: rows are unknown here."""
    assert unpack_rle(frame(bytes([257 - 6]) + b"q"), 6, 1, 1) == b"q" * 6


def test_bytes_beyond_the_frame_are_left_out() -> None:
    assert unpack_rle(frame(bytes([257 - 57]) + b"x", LITERAL), 4, 1, 2) == b"axbxcxdx"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        frame(LITERAL)[:70],
        frame(LITERAL, n_segments=2),
        frame(LITERAL, LITERAL),
        frame(bytes([100]) + b"abcd"),  # a literal longer than the segment
        frame(bytes([200])),  # a run without its byte
        struct.pack("<16L", 1, 4, *[0] * 14) + LITERAL,
        struct.pack("<16L", 1, 1 << 31, *[0] * 14) + LITERAL,
        struct.pack("<16L", 1 << 31, 64, *[0] * 14) + LITERAL,
    ],
)
def test_damaged_frames_are_refused_in_silence(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"segment|enough|image"):
        unpack_rle(data, 8, 1, 1)
    assert capfd.readouterr() == ("", "")


@settings(max_examples=50)
@given(st.binary(min_size=1, max_size=400))
def test_what_was_packed_comes_back(pixels: bytes) -> None:
    assert unpack_rle(frame(_packed(pixels)), len(pixels), 1, 1) == pixels


def _packed(pixels: bytes) -> bytes:
    """Runs as runs, the rest as literals of one byte."""
    packed, at = b"", 0
    while at < len(pixels):
        n = 1
        while at + n < len(pixels) and n < 128 and pixels[at + n] == pixels[at]:
            n += 1
        packed += bytes([257 - n if n > 1 else 0, pixels[at]])
        at += n
    return packed
