"""Words against pictures whose vectors are the words of their truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from dualsight.learn.phantom.catalogue import Phantom, draw_many
from dualsight.learn.zero_shot import Shown, laterality, measure, modality_top1


@dataclass
class WordCounter:
    """A text's vector counts its words; "no" turns the finding's words round."""

    logit_scale: float = 20.0

    def encode_text(self, texts: Sequence[str]) -> Any:
        rows = np.zeros((len(texts), 4096), np.float32)
        for row, text in zip(rows, texts, strict=True):
            sign = 1
            for word in text.replace("no finding", "unremarkable").split():
                if word == "no":
                    sign = -1
                else:
                    row[sum(ord(c) * 31**i for i, c in enumerate(word)) % 4096] += sign
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def shown() -> Shown:
    truths = list(draw_many(3, 300, size=16))
    texts = [one.modality.prompt(one.view, " ".join(filter(None, (one.side, one.finding)))) for one in truths]
    return Shown(truths, WordCounter().encode_text(texts))


def test_a_model_that_knows_everything(shown: Shown) -> None:
    model: Any = WordCounter()
    report = measure(model, shown)
    assert report.pictures == 300
    assert report.modality_top1 == report.laterality_top1 == 1
    assert report.mean_auc > 0.95
    assert report.mean_absence_auc > 0.95
    asked = laterality(model, shown)
    named = [one for one in shown.truths if one.side is not None and one.view in ("left eye", "right eye")]
    assert named
    assert len(asked) == sum(one.side is not None for one in shown.truths) - len(named)
    assert "fundus" not in {modality.name for modality, _ in asked}


def test_a_shuffled_truth_is_no_better_than_chance(shown: Shown) -> None:
    model: Any = WordCounter()
    reports = [measure(model, shown, shuffle=np.random.default_rng(seed)) for seed in range(5)]
    assert abs(np.mean([report.mean_auc for report in reports]) - 0.5) < 0.03
    assert abs(np.mean([report.mean_absence_auc for report in reports]) - 0.5) < 0.03


def test_the_other_side_and_another_modality_are_wrong(shown: Shown) -> None:
    model: Any = WordCounter()
    other = {"left": "right", "right": "left", None: None}
    turned: list[Phantom] = [replace(one, side=other[one.side]) for one in shown.truths]
    assert not any(right for _, right in laterality(model, Shown(turned, shown.vectors)))
    assert modality_top1(model, Shown(shown.truths, np.roll(shown.vectors, 1, axis=0))) < 0.2
