from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dualsight.model.windows import from_windows, regions, to_windows

sides = st.integers(1, 4)


@given(rows=sides, columns=sides, height=sides, width=sides)
def test_windows_and_back(rows: int, columns: int, height: int, width: int) -> None:
    grid = (rows * height, columns * width)
    tokens = torch.arange(2 * grid[0] * grid[1] * 3).reshape(2, *grid, 3)
    windows = to_windows(tokens, height, width)
    assert windows.shape == (2 * rows * columns, height * width, 3)
    assert torch.equal(windows[0], tokens[0, :height, :width].flatten(0, 1))
    assert torch.equal(from_windows(windows, height, width, grid), tokens)


@given(height=st.integers(1, 30), width=st.integers(1, 30), window=st.integers(1, 13))
def test_regions_cover_the_grid_once_in_whole_windows(height: int, width: int, window: int) -> None:
    covered = torch.zeros(height, width, dtype=torch.int64)
    for across in regions((height, width), window):
        for rows, columns, h, w in across:
            assert (rows.stop - rows.start) % h == 0
            assert (columns.stop - columns.start) % w == 0
            assert h <= window and w <= window
            covered[rows, columns] += 1
    assert bool((covered == 1).all())
