"""Precision of search by hand: labels and patients of vectors on a circle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualsight.errors import StoreError
from dualsight.store.evaluate import evaluate, evaluate_features
from index_tables import circle, write_table

# The two of a patient lie beside each other; b stands among a. The row without a label and the text are not there.
DEGREES = (0, 1, 10, 11, 13, 50, 51, 12, 2)
LABELS = ["a", "a", "b", "b", "a", "b", "b", None, "a"]
PATIENTS = ["1", "1", "2", "2", "3", "4", "4", "5", "6"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    kinds = ["image"] * 8 + ["text"]
    return write_table(tmp_path_factory.mktemp("table"), circle(*DEGREES), kind=kinds, finding=LABELS, patient=PATIENTS)


def by_hand(k: int, *, apart: bool) -> float:
    """Macro precision@k in the words of the module."""
    shares: dict[str, list[float]] = {"a": [], "b": []}
    for own in range(7):
        others = [n for n in range(7) if n != own and not (apart and PATIENTS[n] == PATIENTS[own])]
        others.sort(key=lambda n: abs(DEGREES[n] - DEGREES[own]))
        shares[LABELS[own] or ""].append(sum(LABELS[n] == LABELS[own] for n in others[:k]) / k)
    return float(np.mean([np.mean(of) for of in shares.values()]))


@pytest.mark.parametrize("apart", [None, "patient"])
def test_precision_by_hand(table: Any, apart: str | None) -> None:
    found = evaluate(table, "finding", ks=(1, 2, 3), apart=apart)
    expected = [by_hand(k, apart=apart is not None) for k in (1, 2, 3)]
    assert found.precisions == pytest.approx(expected)
    assert (found.label, found.n_queries, found.n_labels, found.ks) == ("finding", 7, 2, (1, 2, 3))
    assert found.chance == pytest.approx((3 / 7 + 4 / 7) / 2)
    as_they_are = evaluate_features(table, "finding", lambda vectors: vectors, ks=(1, 2, 3), apart=apart)
    assert as_they_are == found


def test_features_stand_in_the_vectors_place(table: Any) -> None:
    """All in one place but for how far along they are: the nearest by that number alone."""
    seen = []

    def along(vectors: np.ndarray) -> np.ndarray:
        seen.append(vectors.shape)
        return np.array([[{0: 0, 1: 5, 10: 1, 11: 6, 13: 2, 50: 7, 51: 9}[degrees(one)]] for one in vectors])

    def degrees(vector: np.ndarray) -> int:
        return round(float(np.rad2deg(np.arctan2(vector[1], vector[0]))))

    found = evaluate_features(table, "finding", along, ks=[1])
    # In a row: a0 b1 a2, a5 b6 b7, b9. Only the last two have a b beside them; b6 takes a5, the first of two as near.
    assert found.precisions == pytest.approx([(0 + 2 / 4) / 2])
    assert seen == [(7, 2)]


def test_a_sample_of_queries_is_drawn_by_its_seed(table: Any) -> None:
    every = [evaluate(table, "finding", ks=[1], n_queries=2, seed=seed) for seed in range(6)]
    assert {one.n_queries for one in every} == {2}
    assert every[0] == evaluate(table, "finding", ks=[1], n_queries=2)
    assert len({(one.n_labels, one.precisions) for one in every}) > 1
    for seed, one in enumerate(every):
        assert evaluate_features(table, "finding", lambda v: v, ks=[1], n_queries=2, seed=seed) == one


def test_rows_without_a_patient_are_their_own(tmp_path: Path) -> None:
    table = write_table(tmp_path, circle(0, 1, 3), finding=["a", "a", "b"], patient=["1", None, None])
    for found in (
        evaluate(table, "finding", ks=[1], apart="patient"),
        evaluate_features(table, "finding", lambda vectors: vectors, ks=[1], apart="patient"),
    ):
        assert found.precisions == ((1 + 0) / 2,)  # both a find each other, and b finds one of them


def test_what_cannot_be_measured(table: Any, tmp_path: Path) -> None:
    one = write_table(tmp_path, circle(0, 1), finding=["a", None])

    def features(table: Any, label: str, **how: Any) -> object:
        return evaluate_features(table, label, lambda vectors: vectors, **how)

    for measure in (evaluate, features):
        with pytest.raises(StoreError, match=r"^no column disease$") as caught:
            measure(table, "disease")
        assert caught.value.hint.startswith("columns are body_part, column_spacing_mm, columns, content_hash, finding")
        with pytest.raises(StoreError, match=r"^no column surname$"):
            measure(table, "finding", apart="surname")
        with pytest.raises(StoreError, match=r"^only 1 rows have a finding: nothing to measure with$"):
            measure(one, "finding")
