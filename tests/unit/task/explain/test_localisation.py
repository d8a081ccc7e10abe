from __future__ import annotations

import numpy as np
import pytest

from dualsight.task.explain.localisation import centre_prior, overlap, points_at


def test_pointing() -> None:
    mask = np.zeros((4, 6), bool)
    mask[1, 4] = True
    values = np.zeros((4, 6), np.float32)
    assert not points_at(values, mask)
    values[1, 4] = 1
    assert points_at(values, mask)
    values[2, 5] = 2
    assert not points_at(values, mask) and not points_at(values, mask, within=1.4)
    assert points_at(values, mask, within=1.5)
    assert not points_at(values, np.zeros((4, 6), bool), within=9)


def test_overlap() -> None:
    mask = np.zeros((4, 4), bool)
    mask[0, :2] = True
    assert overlap(mask.astype(np.float32), mask) == 1
    assert overlap(-mask.astype(np.float32), mask) == 0
    half = np.zeros((4, 4), np.float32)
    half[0, 1:3] = 1
    assert overlap(half, mask) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="empty"):
        overlap(half, np.zeros((4, 4), bool))


@pytest.mark.parametrize("shape", [(5, 5), (4, 7)])
def test_the_centre_prior_is_hottest_at_the_centre(shape: tuple[int, int]) -> None:
    row, column = divmod(int(centre_prior(*shape).argmax()), shape[1])
    assert abs(row + 0.5 - shape[0] / 2) <= 0.5 and abs(column + 0.5 - shape[1] / 2) <= 0.5
