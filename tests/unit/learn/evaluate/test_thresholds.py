from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.errors import ConfigError
from dualsight.learn.evaluate.thresholds import LabelThresholds, Thresholds, choose_thresholds, read_thresholds

THRESHOLDS = Thresholds(
    fingerprint="f" * 64,
    labels=("mass", "cyst"),
    templates=("mri {label}",),
    multilabel=False,
    rule="youden",
    specificity=0.9,
    chosen_on="val",
    by_label={"mass": LabelThresholds(youden=0.5, f1=0.4, specificity=0.6)},
)


def rates(scores: np.ndarray, truth: np.ndarray, threshold: float) -> tuple[float, float, float]:
    said = scores >= threshold
    hits, false = (said & truth).sum(), (said & ~truth).sum()
    return hits / truth.sum(), 1 - false / (~truth).sum(), 2 * hits / (said.sum() + truth.sum())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from([2, 5, 1000]), st.sampled_from([0.5, 0.9]))
def test_no_other_threshold_does_better(seed: int, n: int, levels: int, specificity: float) -> None:
    rng = np.random.default_rng(seed)
    scores, truth = rng.integers(0, levels, n) / levels, rng.random(n) < 0.5
    found = choose_thresholds(scores, truth, specificity)
    if truth.all() or not truth.any():
        assert found is None
        return
    assert found is not None
    every = [rates(scores, truth, threshold) for threshold in [*np.unique(scores), 2.0]]
    sensitivity, kept, _ = rates(scores, truth, found.youden)
    assert sensitivity + kept == pytest.approx(max(one + two for one, two, _ in every))
    assert rates(scores, truth, found.f1)[2] == pytest.approx(max(f1 for _, _, f1 in every))
    sensitivity, kept, _ = rates(scores, truth, found.specificity)
    assert kept >= specificity - 1e-9
    assert sensitivity == pytest.approx(max(one for one, two, _ in every if two >= specificity - 1e-9))


def test_they_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(THRESHOLDS.to_json())
    assert read_thresholds(path) == THRESHOLDS


def test_above_begins_at_the_threshold_of_the_rule() -> None:
    assert [THRESHOLDS.verdict("mass", p) for p in (0.49, 0.5)] == ["below", "above"]
    assert [replace(THRESHOLDS, rule="f1").verdict("mass", p) for p in (0.39, 0.4)] == ["below", "above"]
    assert THRESHOLDS.verdict("cyst", 0.9) is None


def test_they_are_for_one_model_one_set_of_labels_and_one_way_to_ask() -> None:
    right = ("f" * 64, ["cyst", "mass"], ("mri {label}",), False)
    THRESHOLDS.check(*right)
    for position, (wrong, message) in enumerate(
        [("e" * 64, "the model"), (["mass"], "cyst"), (("{label}",), "templates"), (True, "without --multilabel")]
    ):
        arguments = [*right]
        arguments[position] = wrong
        with pytest.raises(ConfigError, match=message) as caught:
            THRESHOLDS.check(*arguments)  # type: ignore[arg-type]
        assert caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"dualsight_thresholds": 2},
        {"rule": "best"},
        {"by_label": {"mass": {"youden": "0.5", "f1": 0.4, "specificity": 0.6}}},
        {"by_label": {"mass": {"youden": float("nan"), "f1": 0.4, "specificity": 0.6}}},
        {"by_label": {"mass": {"youden": 0.5}}},
        {"by_label": []},
        {"more": 1},
        {"labels": 3},
        {"fingerprint": None},
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps(json.loads(THRESHOLDS.to_json()) | change))
    with pytest.raises(ConfigError, match=r"thresholds\.json"):
        read_thresholds(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"{", b"[" * 100_000])
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "thresholds.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_thresholds(path)
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        read_thresholds(path)


def test_the_file_is_called_what_its_user_calls_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"^mine\.json: "):
        read_thresholds(path, name="mine.json")
