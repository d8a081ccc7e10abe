from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from dualsight.interface.evaluation_page.plots import LEFT, SIDE, TOP, Line, square

UNIT = st.floats(0, 1)


@given(st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=20))
def test_points_lie_in_the_square_with_y_upwards(points: list[tuple[float, float]]) -> None:
    line = Line(x=[x for x, _ in points], y=[y for _, y in points], style=1, dots=True)
    svg = ElementTree.fromstring(square([line], alt='<"&>', across="a", up="b", diagonal=True))  # noqa: S314 - ours
    assert svg.get("aria-label") == '<"&>'
    (drawn,) = (e for e in svg.iter("polyline") if e.get("class") == "line1")
    for text, (x, y) in zip((drawn.get("points") or "").split(), points, strict=True):
        across, down = map(float, text.split(","))
        assert abs(across - (LEFT + SIDE * x)) < 0.06
        assert abs(down - (TOP + SIDE - SIDE * y)) < 0.06
    assert len(list(svg.iter("circle"))) == len(points)
    assert sum(e.get("class") == "chance" for e in svg.iter("polyline")) == 1
