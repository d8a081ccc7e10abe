from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dualsight.errors import ConfigError, ManifestError
from dualsight.image.frame import FrameMeta
from dualsight.learn.exam_parameters import Reference, predict_parameters, read_references

VECTORS = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1]]
KNOWN = [
    {"modality": "ct", "plane": "axial"},
    {"modality": "ct", "plane": "axial"},
    {"modality": "mri"},
    {"modality": "mri", "plane": "sagittal"},
    {"modality": "mri", "plane": "sagittal"},
]


def test_the_nearest_that_know_a_parameter_say_it() -> None:
    first, second = predict_parameters(VECTORS, KNOWN, VECTORS[[0, 3]], neighbours=3, share=0.6)
    assert first["modality"].value == "ct"
    assert first["modality"].share == pytest.approx(2 / 3)
    assert first["plane"].value == "axial"
    assert first["plane"].share == pytest.approx(1, abs=1e-5)
    assert (second["modality"].value, second["plane"].value) == ("mri", "sagittal")
    assert "sequence" not in first


def test_without_agreement_there_is_no_answer() -> None:
    (guess,) = predict_parameters(VECTORS, KNOWN, VECTORS[:1], neighbours=3, share=0.7)
    assert guess["modality"].value is None
    assert guess["modality"].share == pytest.approx(2 / 3)


@pytest.mark.parametrize(("share", "neighbours"), [(0.0, 3), (1.1, 3), (0.5, 0)])
def test_what_cannot_be_meant(share: float, neighbours: int) -> None:
    with pytest.raises(ConfigError):
        predict_parameters(VECTORS, KNOWN, VECTORS, neighbours=neighbours, share=share)


def test_references_that_know_nothing() -> None:
    with pytest.raises(ConfigError, match="no reference says"):
        predict_parameters(VECTORS, [{}] * 5, VECTORS)


def test_a_header_fills_what_the_table_leaves_open() -> None:
    meta = FrameMeta(modality="MR", body_part="CSPINE", view="AP")
    filled = Reference(path=Path("a.dcm"), parameters={"view": "sagittal"}).with_header(meta).parameters
    assert filled == {"modality": "mri", "body_part": "cervical spine", "view": "sagittal"}
    assert Reference(path=Path("a.png"), parameters={}).with_header(FrameMeta()).parameters == {}


def test_a_table_is_read_in_lower_case_and_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    table = tmp_path / "known.csv"
    table.write_text("path,modality,plane,other\na.png, CT ,,x\n")
    assert read_references(table) == [Reference(path=tmp_path / "a.png", parameters={"modality": "ct"})]


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"file,modality\n", ["no column `path`"]),
        (b"path,modality\n", ["no rows"]),
        (b"path,modality\nb.png,ct\n,ct\n", ["row 2: no file b.png", "row 3: no file named"]),
        (b"path\n\xff\xfe\n", ["no table in UTF-8"]),
    ],
)
def test_all_that_is_wrong_with_a_table_is_told(tmp_path: Path, content: bytes, problems: list[str]) -> None:
    table = tmp_path / "known.csv"
    table.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        read_references(table)
    for problem in problems:
        assert problem in str(caught.value)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        read_references(tmp_path / "known.csv")


def test_neighbours_that_all_agree_are_an_answer_at_a_share_of_one() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(207, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    guesses = predict_parameters(rows[:7], [{"modality": "ct"}] * 7, rows[7:], share=1.0)
    assert {guess["modality"].value for guess in guesses} == {"ct"}
