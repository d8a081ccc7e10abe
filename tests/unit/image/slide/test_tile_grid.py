from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.image.slide.tile_grid import Box, TileGrid


def grid(width: int, height: int, size: int, step: int) -> TileGrid:
    return TileGrid(width=width, height=height, size=size, step=step, scale=1.0)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(4, 80), st.data())
def test_boxes_cover_the_slide_stay_inside_and_are_as_many_as_told(
    width: int, height: int, size: int, data: st.DataObject
) -> None:
    tiles = grid(width, height, size, data.draw(st.integers(max(1, size // 4), size)))
    boxes = list(tiles.boxes())
    assert len(boxes) == len(set(boxes)) == tiles.n
    count = np.zeros((height, width), int)
    for box in boxes:
        assert (box.width, box.height) == (min(size, width), min(size, height))
        assert box.within(width, height) == box
        count[box.y : box.y + box.height, box.x : box.x + box.width] += 1
    assert count.min() >= 1


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 49), st.integers(40, 4000))
def test_no_tissue_is_lost_on_a_coarser_mask(column: int, row: int, width: int) -> None:
    """The tiles kept cover every place that the mask's pixel may stand for, wherever tiles and pixels part."""
    mask = np.zeros((50, 100), bool)
    mask[row, column] = True
    tiles = TileGrid(width=width, height=width // 2, size=37, step=37, scale=1.0)
    left, right = column * width / 100, (column + 1) * width / 100
    top, bottom = row * tiles.height / 50, (row + 1) * tiles.height / 50
    kept = set(tiles.with_tissue(mask, 1e-9))
    for box in tiles.boxes():
        touches = box.x < right and box.x + box.width > left and box.y < bottom and box.y + box.height > top
        assert not touches or box in kept


def test_the_part_that_is_tissue_is_counted() -> None:
    mask = np.zeros((20, 20), bool)
    mask[:, :8] = True
    tiles = grid(200, 200, 50, 50)  # the second column is three fifths tissue
    assert {box.x for box in tiles.with_tissue(mask, 0.6)} == {0, 50}
    assert {box.x for box in tiles.with_tissue(mask, 0.61)} == {0}


def test_a_box_is_scaled_and_moved_back_over_the_edge() -> None:
    assert Box(10, 20, 30, 40).scaled(0.25) == Box(2, 5, 8, 10)
    assert Box(1, 1, 1, 1).scaled(0.1) == Box(0, 0, 1, 1)
    assert Box(8, 9, 5, 5).within(12, 10) == Box(7, 5, 5, 5)
    assert Box(0, 0, 5, 5).within(3, 4) == Box(0, 0, 3, 4)
