from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dualsight.errors import ManifestError
from dualsight.learn.evaluate.subgroups import FEW_PATIENTS, check_subgroups, groups
from dualsight.learn.manifest import Example, Manifest


def manifest(rows: list[dict[str, str]]) -> Manifest:
    examples = tuple(
        Example(row=i, path=Path(), labels=("a",), patient=None, split=None, columns=row)
        for i, row in enumerate(rows, 2)
    )
    return Manifest(path=Path("t.csv"), examples=examples, labels=("a",), is_multilabel=False)


def test_each_value_has_its_own_figures_and_small_groups_are_marked() -> None:
    rng = np.random.default_rng(0)
    values = ["F"] * 60 + ["M"] * 60 + [""] * 5
    truth = np.eye(2, dtype=bool)[rng.integers(0, 2, 125)]
    scores = rng.random((125, 2))
    scores[:60] = truth[:60]  # perfect for one sex alone
    patients = np.r_[np.arange(60), np.arange(60, 90).repeat(2), 90, 91, 92, 93, 94]
    blank, female, male = groups(values, "sex", scores, truth, patients, multilabel=False)
    assert (blank.value, female.value, male.value) == ("(blank)", "F", "M")
    assert (female.n, female.patients, male.n, male.patients) == (60, 60, 60, FEW_PATIENTS)
    assert (blank.is_small, female.is_small, male.is_small) == (True, False, False)
    assert (female.mean_auc.value, female.accuracy) == (1.0, 1.0)
    expected = np.mean([roc_auc_score(truth[60:120, j], scores[60:120, j]) for j in range(2)])
    assert male.mean_auc.value == pytest.approx(expected)


def test_a_group_of_one_class_has_no_auc_and_says_why() -> None:
    (group,) = groups(["x"] * 3, "c", np.ones((3, 2)), np.eye(2, dtype=bool)[[0, 0, 0]], np.arange(3), multilabel=True)
    assert group.mean_auc.value is None
    assert group.mean_auc.reason
    assert group.accuracy is None


def test_columns_are_checked_all_at_once() -> None:
    rows = [{"sex": "F", "age": str(age)} for age in range(40)]
    check_subgroups(manifest(rows), ("sex",))
    with pytest.raises(ManifestError) as caught:
        check_subgroups(manifest(rows), ("sex", "device", "age"))
    assert [problem.split("`")[1] for problem in caught.value.problems] == ["device", "age"]
