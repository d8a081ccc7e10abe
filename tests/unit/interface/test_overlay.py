from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dualsight.image.frame import Frame
from dualsight.interface.overlay import LONGEST, SHORTEST, blend, draw_map, draw_overlay, draw_scale, reach_of
from dualsight.task.explain.explain import Explanation
from dualsight.task.explain.geometry import Box


def explanation(height: int, width: int, values: np.ndarray | None = None) -> Explanation:
    return Explanation(
        frame=Frame(pixels=np.full((height, width, 3), 100, np.uint8), source="one.png"),
        map=np.zeros((height, width), np.float32) if values is None else values,
        label="pneumonia",
        against=("no finding",),
        similarity=0.25,
        method="grad-cam",
        grid=(7, 7),
        unit="similarity",
        rest=0.0,
        seen=Box(0, 0, width, height),
        model="small",
        notice="",
    )


@pytest.mark.parametrize("shape", [(20, 30), (1, 900), (500, 400), (2000, 1000)])
def test_panels_have_a_readable_size(shape: tuple[int, int]) -> None:
    sheet = draw_overlay([explanation(*shape)])
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    longer = min(max(max(shape), SHORTEST), LONGEST)
    assert sheet.shape[0] > longer * shape[0] / max(shape)
    assert sheet.shape[1] > 2 * longer * shape[1] / max(shape) - 2


def test_heat_is_where_the_map_is() -> None:
    values = np.zeros((320, 320), np.float32)
    values[:160, :160], values[160:, 160:] = 1, -0.5
    cold, hot = (draw_overlay([explanation(320, 320, v)]).astype(int) for v in (np.zeros_like(values), values))
    changed = (np.abs(cold - hot).max(axis=2) > 20)[:, 344:]  # of the second panel
    rows, columns = np.nonzero(changed[:400])
    assert changed.any() and rows.min() < 100 and columns.min() < 20
    first = (np.abs(cold - hot).max(axis=2) > 0)[60:340, :330]
    assert not first.any()  # the picture itself stays as it is


def test_colours_tell_for_from_against() -> None:
    from PIL import Image

    grey = Image.new("L", (3, 1), 128)
    against, nothing, speaks_for = blend(grey, np.array([[-1, 0, 1]], np.float32), 1.0)[0].astype(int)
    assert against[2] > against[0] and speaks_for[0] > speaks_for[2] and list(nothing) == [128] * 3


def test_all_that_must_be_said_takes_room() -> None:
    one = draw_overlay([explanation(320, 320)])
    longer = draw_overlay([replace(explanation(320, 320), notice="a notice " * 40)])
    assert longer.shape[0] > one.shape[0]
    with pytest.raises(ValueError, match="no map"):
        draw_overlay([])


def test_a_map_alone_has_the_colours_of_its_scale() -> None:
    values = np.zeros((400, 500), np.float32)
    values[100:300, :200], values[100:300, 300:] = -0.02, 0.02
    found = explanation(400, 500, values)
    assert reach_of(found) == np.float32(0.02) and reach_of(explanation(9, 9, np.zeros((9, 9), np.float32))) == 1.0
    drawn, scale = draw_map(found), draw_scale(300)
    assert drawn.shape == (400, 500, 3)
    for place, end in ((100, 0), (400, -1)):  # the same hue, over another grey
        assert np.argmax(drawn[200, place]) == np.argmax(scale[0, end])
    assert np.ptp(drawn[10, 10].astype(int)) == 0
