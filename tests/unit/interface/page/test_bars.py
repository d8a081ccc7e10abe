from __future__ import annotations

import re
from dataclasses import replace

from dualsight.image.frame import FrameMeta
from dualsight.interface.page.bars import draw_bars
from dualsight.task.classify import Classification

ANSWER = Classification(
    source="<Doe>.dcm",
    frame_index=0,
    n_frames=1,
    meta=FrameMeta(),
    labels=("a & b", "c"),
    probabilities=(0.75, 0.25),
    multilabel=False,
)


def test_a_bar_a_label_in_order() -> None:
    html = draw_bars(ANSWER, None)
    assert re.findall(r'class="label">(.*?)<', html) == ["a &amp; b", "c"]
    assert re.findall(r'class="num">(.*?)<', html) == ["75.0%", "25.0%"]
    assert re.findall(r'data-pick="(\d)"', html) == ["0", "1"]
    assert "&lt;Doe&gt;.dcm" in html and "<Doe>" not in html and "side" not in html


def test_sides_of_thresholds() -> None:
    verdicts = {"a & b": "above", "c": None}
    html = draw_bars(replace(ANSWER, multilabel=True), lambda label, probability: verdicts[label])
    assert re.findall(r'class="side (\w+)">(.*?)<', html) == [("above", "above"), ("no", "no threshold")]
    assert "each on its own" in html


def test_frames_together_are_said() -> None:
    assert "30 frames as one picture" in draw_bars(replace(ANSWER, frame_index=None, n_frames=30), None)
