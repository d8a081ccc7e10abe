from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dualsight.image.colour import expand_segments, to_eight_bits, ybr_full_to_rgb


def test_ybr_white_black_and_grey_stay_what_they_are() -> None:
    grey = np.array([[[0, 128, 128], [128, 128, 128], [255, 128, 128]]], np.uint8)
    assert ybr_full_to_rgb(grey, 8).tolist() == [[[0] * 3, [128] * 3, [255] * 3]]


def test_ybr_of_more_bits_is_centred_on_half_their_scale() -> None:
    stored = np.array([[[1000, 2048, 2048 + 500]]], np.uint16)
    assert ybr_full_to_rgb(stored, 12).tolist() == [[[1701, 643, 1000]]]


def test_depths_map_full_scale_to_full_scale() -> None:
    assert to_eight_bits(np.array([[[0, 2048, 4095]]], np.uint16), 12).tolist() == [[[0, 128, 255]]]
    assert to_eight_bits(np.array([[[0, 1, 1]]], np.uint8), 1).tolist() == [[[0, 255, 255]]]
    assert to_eight_bits(np.array([[[0, 2**31, 2**32 - 1]]], np.uint32), 32).tolist() == [[[0, 128, 255]]]


def segments(*words: int, kind: type = np.uint16) -> np.ndarray:
    return np.array(words, kind)


def test_segments_are_given_interpolated_and_repeated() -> None:
    # discrete 2 entries; linear 4 steps up to 50; then both once more (indirect, 2 segments from byte 0)
    data = segments(0, 2, 7, 10, 1, 4, 50, 2, 2, 0, 0)
    once = [7, 10, 20, 30, 40, 50]
    assert expand_segments(data, 12).tolist() == [*once, *once]


def test_an_indirect_offset_counts_bytes() -> None:
    data = segments(0, 1, 9, 0, 2, 3, 4, 2, 1, 6, 0)  # the second segment begins at byte 6
    assert expand_segments(data, 5).tolist() == [9, 3, 4, 3, 4]


def test_eight_bit_segments_have_four_offset_bytes() -> None:
    data = segments(0, 1, 9, 0, 2, 3, 4, 2, 1, 3, 0, 0, 0, kind=np.uint8)
    assert expand_segments(data, 5).tolist() == [9, 3, 4, 3, 4]


@pytest.mark.parametrize(
    ("data", "n_entries"),
    [
        (segments(1, 4, 50), 4),  # nothing to interpolate from
        (segments(2, 1, 0, 0), 1),  # nothing to repeat
        (segments(0, 9, 1, 2), 9),  # cut short
        (segments(7, 1, 1), 1),  # no such segment
        (segments(0, 2, 1, 2), 3),  # too few
        (segments(0, 1, 1, 1, 65535, 2), 256),  # too many
    ],
)
def test_segments_that_the_standard_does_not_define_are_refused(data: np.ndarray, n_entries: int) -> None:
    with pytest.raises(ValueError, match=r"segment|entries"):
        expand_segments(data, n_entries)


@settings(deadline=None, max_examples=100)  # a shared machine stalls
@given(hnp.arrays(np.uint16, st.integers(0, 60), elements=st.sampled_from([0, 1, 2, 3, 6, 12, 65535])))
def test_no_segments_expand_beyond_their_descriptor(data: np.ndarray) -> None:
    with contextlib.suppress(ValueError):
        assert len(expand_segments(data, 256)) == 256
