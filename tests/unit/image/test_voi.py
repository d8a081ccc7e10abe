from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dualsight.image.voi import (
    CT_WINDOWS,
    Lut,
    distinct,
    full_range,
    look_up,
    per_value,
    rescale,
    to_grey,
    value_range,
    window_linear,
    window_linear_exact,
    window_sigmoid,
)


def test_rescale_is_slope_times_value_plus_intercept_in_double_precision() -> None:
    values = rescale(np.array([0, 65535], np.uint16), 2.0, -1024.0)
    assert values.tolist() == [-1024.0, 130046.0]


def test_linear_equals_the_standards_example() -> None:
    # PS3.3 C.11.2.1.2.1: c = 2048, w = 4096, 0…4095 → identity over 0…1
    values = np.array([-1.0, 0.0, 2047.5, 4095.0, 4096.0])
    assert window_linear(values, 2048, 4096) == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-12)


def test_linear_of_width_one_is_a_threshold_half_below_the_centre() -> None:
    assert window_linear(np.array([98.0, 99.5, 99.6, 100.0]), 100, 1).tolist() == [0, 0, 1, 1]


def test_linear_exact_has_no_half_pixel_terms() -> None:
    values = np.array([-51.0, -50.0, 0.0, 50.0, 51.0])
    assert window_linear_exact(values, 0, 100).tolist() == [0, 0, 0.5, 1, 1]


def test_sigmoid_is_one_half_at_the_centre_with_slope_one_over_width_and_no_overflow() -> None:
    assert window_sigmoid(np.array([40.0]), 40, 80) == pytest.approx([0.5])
    assert window_sigmoid(np.array([80.0]), 40, 80) == pytest.approx([1 / (1 + np.exp(-2))])
    assert window_sigmoid(np.array([-1e9, 1e9]), 40, 80) == pytest.approx([0, 1], abs=1e-12)


def test_full_range_of_equal_ends_is_black() -> None:
    assert full_range(np.array([5.0, 5.0]), 5, 5).tolist() == [0, 0]
    assert full_range(np.array([0.0, 5.0, 10.0, 20.0]), 0, 10).tolist() == [0, 0.5, 1, 1]


def test_to_grey_rounds_to_the_nearest_inverts_and_blackens_what_is_no_number() -> None:
    display = np.array([0.0, 0.4999 / 255, 0.5001 / 255, 1.0, np.nan])
    assert to_grey(display).tolist() == [0, 0, 1, 255, 0]
    assert to_grey(display, invert=True).tolist() == [255, 255, 254, 0, 0]


def test_look_up_clamps_to_the_first_and_last_entry() -> None:
    lut = Lut(-2, np.array([10, 20, 30], np.uint16), 16)
    assert look_up(np.array([-99, -2, -1, 0, 1, 99]), lut).tolist() == [10, 10, 20, 30, 30, 30]
    assert look_up(np.array([-0.5]), lut).tolist() == [20]  # values between entries count down


@settings(deadline=None, max_examples=50)  # a shared machine stalls
@given(
    hnp.arrays(
        st.sampled_from([np.int16, np.uint16, np.uint8, np.int32, np.float32]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, 100),
    )
)
def test_per_value_equals_the_function_itself(stored: np.ndarray) -> None:
    def function(values: np.ndarray) -> np.ndarray:
        return to_grey(window_linear(rescale(values, 1.5, -20), 40, 80))

    assert np.array_equal(per_value(function, stored), function(stored))
    assert per_value(function, stored).shape == stored.shape


def test_per_value_reaches_both_ends_of_sixteen_bits() -> None:
    stored = np.tile(np.array([-32768, 0, 32767], np.int16), (300, 100))
    grey = per_value(lambda v: to_grey(full_range(v.astype(np.float64), -32768, 32767)), stored)
    assert grey[0, :3].tolist() == [0, 128, 255]


def test_distinct_gives_each_value_once_in_order() -> None:
    stored = np.array([[5, -3], [5, 7]], np.int16)
    assert distinct(stored).tolist() == [-3, 5, 7]
    assert distinct(stored.astype(np.float32)).tolist() == [5, -3, 5, 7]
    assert distinct(np.zeros((0, 4), np.int16)).size == 0


def test_value_range_follows_the_function_not_the_order_of_stored_values() -> None:
    assert value_range(lambda v: rescale(v, -2.0, 10.0), np.array([1, 2, 4])) == (2.0, 8.0)


def test_every_named_ct_window_is_one_that_linear_allows() -> None:
    assert {"lung", "bone", "brain", "soft tissue", "abdomen", "mediastinum"} <= set(CT_WINDOWS)
    assert all(width >= 1 for _, width in CT_WINDOWS.values())
