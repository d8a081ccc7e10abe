from __future__ import annotations

import numpy as np
import pytest

from dualsight.interface.attention_sheet import GROUPS, SQUARE, draw_attention
from dualsight.task.explain.attention import StageAttention


def stage(number: int, side: int, groups: int | None) -> StageAttention:
    rng = np.random.default_rng(number)
    return StageAttention(
        stage=number,
        grid=(side, side),
        token=(side - 1, 0),
        window=rng.random((2, side, side)).astype(np.float32),
        padding=np.zeros(2, np.float32),
        groups=None if groups is None else rng.random((groups, side, side)).astype(np.float32),
    )


@pytest.mark.parametrize("groups", [None, 2, GROUPS + 3])
def test_a_row_a_stage(groups: int | None) -> None:
    resized = np.full((64, 64, 3), 90, np.uint8)
    sheet = draw_attention(resized, [stage(1, 8, groups), stage(2, 4, groups)])
    assert sheet.dtype == np.uint8 and sheet.shape[0] > 2 * SQUARE
    assert sheet.shape[1] // SQUARE == 2 + min(groups or 0, GROUPS)


def test_the_token_is_marked_where_it_is() -> None:
    resized = np.full((64, 64, 3), 90, np.uint8)
    sheet = draw_attention(resized, [stage(1, 4, None)]).astype(int)
    yellow = (sheet[..., 0] > 200) & (sheet[..., 2] < 120)
    rows, columns = np.nonzero(yellow[:, : SQUARE + 10])
    assert columns.max() < SQUARE / 4 + 15 and rows.min() > SQUARE * 3 / 4
