from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.errors import ManifestError
from dualsight.learn.evaluate.bootstrap import patient_numbers
from dualsight.learn.manifest import Manifest, read_manifest

HEAD = "path,label,patient,split\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(60):
        (tmp_path / f"{number}.png").touch()
    return tmp_path


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(folder: Path, text: str | bytes, **columns: str | None) -> tuple[str, ...]:
    with pytest.raises(ManifestError) as caught:
        read_manifest(table(folder, text), **columns)  # type: ignore[arg-type]
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def test_rows_are_read_with_all_their_columns(folder: Path) -> None:
    text = (
        "path,label,patient,split,sex\n0.png,mass,P1,train,F\n\n1.png, mass | cyst|mass ,,train,M\n2.png,,P2,train,F\n"
    )
    manifest = read_manifest(table(folder, text))
    assert manifest.labels == ("cyst", "mass")
    assert manifest.is_multilabel
    assert manifest.splits == ("train",)
    assert [example.row for example in manifest.examples] == [2, 4, 5]
    assert [example.labels for example in manifest.examples] == [("mass",), ("mass", "cyst"), ()]
    assert [example.patient for example in manifest.examples] == ["P1", None, "P2"]
    assert manifest.examples[0].path == folder / "0.png"
    assert manifest.examples[1].columns["sex"] == "M"


def test_other_columns_may_hold_path_and_label(folder: Path) -> None:
    path = table(folder, "file,finding\n0.png,mass\n")
    manifest = read_manifest(path, label_column="finding", path_column="file")
    assert (manifest.labels, manifest.is_multilabel, manifest.splits) == (("mass",), False, ())
    (example,) = read_manifest(path, label_column=None, path_column="file").examples
    assert example.labels == ()


def test_every_problem_is_told_not_only_the_first(folder: Path) -> None:
    rows = ["0.png,mass,P1,train", "1.png,cyst,P1,test", "gone.png,mass,P2,train", "2.png,mass", "3.png,,P3,train"]
    rows += ["4.png,cyst,P4,train", "5.png,mass,P5,later", ",mass,P6,train", "0.png,mass,P7,test", "6.png,mass,P8,"]
    found = problems(folder, HEAD + "\n".join(rows) + "\n")
    assert found == (
        "row 4: no file gone.png",
        "row 5: 2 values for 4 columns",
        "row 9: no path",
        "row 6: no label in column `label`",
        "row 8: split 'later' is none of train, val, test",
        "row 11: no split, where other rows have one",
        "one patient in the splits train (row 2) and test (row 3)",
        "one file in the splits train (row 2) and test (row 10)",
    )


@pytest.mark.parametrize("other", ["sub/../0.png", "link.png", "linked/0.png", "./0.png"])
def test_a_file_is_the_same_however_it_is_spelt(folder: Path, other: str) -> None:
    (folder / "sub").mkdir()
    (folder / "link.png").symlink_to(folder / "0.png")
    (folder / "linked").symlink_to(folder)
    found = problems(folder, f"path,label,split\n0.png,mass,train\n{other},mass,test\n")
    assert found == ("one file in the splits train (row 2) and test (row 3)",)
    manifest = read_manifest(table(folder, f"path,label\n0.png,x\n{other},x\n1.png,x\n"))
    sizes = {len(part.examples) for part in manifest.split_by_patient(0.5, seed=0)}
    assert sizes == {1, 2}
    assert patient_numbers(manifest.examples).tolist() == [0, 0, 1]


def test_no_problem_names_a_patient(folder: Path) -> None:
    found = problems(folder, HEAD + "0.png,a,Doe John,train\n1.png,a,Doe John,test\n")
    assert len(found) == 1
    assert "Doe" not in found[0]


def test_a_label_is_needed_in_every_split(folder: Path) -> None:
    found = problems(folder, HEAD + "0.png,a,1,train\n1.png,b,2,train\n2.png,a,3,val\n3.png,b,4,test\n")
    assert found == ("no 'b' in the split val", "no 'a' in the split test")


@pytest.mark.parametrize(
    ("rare", "frequent", "is_typo"),
    [
        ("pneumothorx", "pneumothorax", True),
        ("Pneumothorax", "pneumothorax", True),
        ("grade 1", "grade 2", False),
        ("left lung", "right lung", False),
        ("edema", "effusion", False),
    ],
)
def test_a_rare_label_like_a_frequent_one_is_taken_for_a_typo(
    folder: Path, rare: str, frequent: str, is_typo: bool
) -> None:
    text = "path,label\n" + "".join(f"{i}.png,{frequent}\n" for i in range(20)) + f"30.png,{rare}\n"
    if is_typo:
        assert problems(folder, text) == (f"row 22: label {rare!r} (1) looks like {frequent!r} (20)",)
    else:
        assert set(read_manifest(table(folder, text)).labels) == {rare, frequent}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"path,label\n", "no rows"),
        (b"file,label\n0.png,a\n", "no column `path`; there are file, label"),
        (b"path,label,label\n0.png,a,b\n", "2 columns are called `label`"),
        (b'path,label\n0.png,"a\n', "row 2: unexpected end of data"),
        (b"path,label\n" + b"0.png,a\n" * 3000 + b"1.png,\xff\n", "not UTF-8 text"),
    ],
)
def test_a_broken_table(folder: Path, content: bytes, problem: str) -> None:
    assert any(found.startswith(problem) for found in problems(folder, content))


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path / "none.csv")


def test_a_split_is_its_rows_with_all_labels(folder: Path) -> None:
    manifest = read_manifest(table(folder, HEAD + "0.png,a,1,train\n1.png,a,2,test\n2.png,a,3,test\n"))
    assert manifest.splits == ("train", "test")
    assert [example.row for example in manifest.split("test").examples] == [3, 4]
    with pytest.raises(ManifestError, match="no row of the split 'val'"):
        manifest.split("val")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40), st.floats(0.01, 0.99), st.integers(0, 9))
def test_a_division_by_patient_loses_nothing_and_parts_no_patient(
    tmp_path_factory: pytest.TempPathFactory, patients: list[str], fraction: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("table")
    for number in range(len(patients)):
        (folder / f"{number}.png").touch()
    text = "path,label,patient\n" + "".join(f"{i}.png,x,{patient}\n" for i, patient in enumerate(patients))
    manifest = read_manifest(table(folder, text))
    if len(set(patients)) == 1:
        with pytest.raises(ManifestError):
            manifest.split_by_patient(fraction, seed)
        return
    kept, held = manifest.split_by_patient(fraction, seed)
    assert sorted(e.row for part in (kept, held) for e in part.examples) == [e.row for e in manifest.examples]
    assert not people(kept) & people(held)
    assert len(people(held)) == min(max(round(fraction * len(set(patients))), 1), len(set(patients)) - 1)
    assert manifest.split_by_patient(fraction, seed) == (kept, held)


def test_a_file_that_two_rows_name_is_on_one_side(folder: Path) -> None:
    manifest = read_manifest(table(folder, "path,label\n" + "".join(f"{i % 10}.png,x\n" for i in range(20))))
    for seed in range(5):
        kept, held = ({example.path for example in part.examples} for part in manifest.split_by_patient(0.3, seed))
        assert not kept & held
        assert len(held) == 3


def people(manifest: Manifest) -> set[str | None]:
    return {example.patient for example in manifest.examples}
