from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.image.prepare import Preprocessing, resize
from dualsight.task.explain.geometry import cubic_weights, seen_box, to_frame

WHOLE = Preprocessing(height=64, width=64, mean=(0.5,) * 3, std=(0.5,) * 3)
CROP = Preprocessing(height=64, width=64, mean=(0.5,) * 3, std=(0.5,) * 3, center_crop=True)


@pytest.mark.parametrize("preprocessing", [WHOLE, CROP], ids=["whole", "crop"])
@settings(max_examples=20)
@given(height=st.integers(60, 300), width=st.integers(60, 300), x=st.floats(0.3, 0.7), y=st.floats(0.3, 0.7))
def test_a_bright_patch_comes_back_to_its_place(
    preprocessing: Preprocessing, height: int, width: int, x: float, y: float
) -> None:
    """The way of a picture through `resize`, and of a map that is that picture, back: the same place."""
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    short = min(height, width)
    at_x, at_y = width / 2 + (x - 0.5) * short, height / 2 + (y - 0.5) * short
    blob = 255 * np.exp(-((rows - at_y) ** 2 + (columns - at_x) ** 2) / (2 * (0.08 * short) ** 2))
    picture = np.repeat(blob[:, :, None].astype(np.uint8), 3, axis=2)
    values = resize(picture, preprocessing)[:, :, 0].astype(np.float32)
    back = to_frame(values, height, width, preprocessing)
    assert back.shape == (height, width)
    weights = back / back.sum()
    tolerance = 0.02 * max(height, width)
    assert (weights * columns).sum() == pytest.approx(at_x, abs=tolerance)
    assert (weights * rows).sum() == pytest.approx(at_y, abs=tolerance)


def test_what_a_crop_cuts_off_is_zero() -> None:
    back = to_frame(np.ones((4, 4), np.float32), 100, 200, CROP)
    box = seen_box(100, 200, CROP)
    assert box.right - box.left == pytest.approx(box.bottom - box.top, rel=0.02) and box.bottom - box.top < 100
    inside = back[int(box.top) + 1 : int(box.bottom) - 1, int(box.left) + 1 : int(box.right) - 1]
    np.testing.assert_allclose(inside, 1, atol=1e-6)
    assert not back[:, : int(box.left)].any() and not back[: int(box.top)].any()
    assert back.sum() == pytest.approx((box.right - box.left) * (box.bottom - box.top), rel=0.05)


def test_everything_is_seen_without_a_crop() -> None:
    assert seen_box(30, 50, WHOLE) == (0, 0, 50, 30)
    np.testing.assert_allclose(to_frame(np.full((3, 5), 2, np.float32), 31, 17, WHOLE), 2, rtol=1e-6)


def test_no_edges_between_cells() -> None:
    """A step of one cell to the next is spread: no two neighbouring pixels differ by more than an eighth of it."""
    cells = np.zeros((4, 4), np.float32)
    cells[1:3, 1:3] = 1
    back = to_frame(cells, 112, 112, WHOLE)
    assert np.abs(np.diff(back, axis=0)).max() < 1 / 8 and np.abs(np.diff(back, axis=1)).max() < 1 / 8


@given(st.integers(1, 40), st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_weights_add_up_to_one(cells: int, parts: list[float]) -> None:
    weights = cubic_weights(np.array(parts) * cells, cells)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


def test_a_cells_own_place_is_its_own() -> None:
    np.testing.assert_allclose(cubic_weights(np.arange(7) + 0.5, 7), np.eye(7), atol=1e-6)
