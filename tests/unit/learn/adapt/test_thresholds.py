from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.learn.adapt.thresholds import find_thresholds

EXAMPLES = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: len({truth for _, truth in rows}) == 2
)


@settings(max_examples=50)
@given(EXAMPLES)
def test_both_cuts_are_what_they_say(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows]) / 12
    positives = np.array([truth for _, truth in rows])
    found = find_thresholds(scores, positives)
    assert found is not None

    def youden(cut: float) -> float:
        return float((scores[positives] >= cut).mean() + (scores[~positives] < cut).mean())

    def sensitivity(cut: float) -> float:
        return float((scores[positives] >= cut).mean())

    assert youden(found.youden) >= max(youden(cut) for cut in scores) - 1e-12
    assert sensitivity(found.sens90) >= 0.9
    assert all(sensitivity(cut) < 0.9 for cut in scores if cut > found.sens90)


def test_without_both_kinds_there_is_none() -> None:
    assert find_thresholds(np.array([0.1, 0.2]), np.array([True, True])) is None
    assert find_thresholds(np.array([0.1, 0.2]), np.array([False, False])) is None
