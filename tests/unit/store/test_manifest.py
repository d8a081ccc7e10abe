"""The user's own columns: which there are, of which type, and what each file has in them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from dualsight.errors import StoreError
from dualsight.store.manifest import Manifest, read_manifests


def manifest(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", " -20 ", ""], pa.int64(), (1, -20, None)),
        (["1", "+2.5", "1e3"], pa.float64(), (1.0, 2.5, 1000.0)),
        (["True", "false", ""], pa.bool_(), (True, False, None)),
        (["true", "1", ""], pa.string(), ("true", "1", None)),
        (["0071", "35", "0"], pa.string(), ("0071", "35", "0")),  # a number with a leading 0 is a name
        (["-007", "35", "1"], pa.string(), ("-007", "35", "1")),
        (["0", "-0", "10"], pa.int64(), (0, 0, 10)),
        (["0.5", "0", "-0.25"], pa.float64(), (0.5, 0.0, -0.25)),
        (["1_000", "2", "3"], pa.string(), ("1_000", "2", "3")),
        (["9223372036854775807", "1", "2"], pa.int64(), (9223372036854775807, 1, 2)),
        (["9223372036854775808", "1", "2"], pa.string(), ("9223372036854775808", "1", "2")),
        (["nan", "1", "2"], pa.string(), ("nan", "1", "2")),
        (["inf", "1", "2"], pa.string(), ("inf", "1", "2")),
        (["", " ", ""], pa.string(), (None, None, None)),
    ],
)
def test_the_narrowest_type_of_all_cells(tmp_path: Path, cells: list[str], kind: pa.DataType, values: tuple) -> None:  # type: ignore[type-arg]
    rows = "".join(f'{name}.png,"{cell}"\n' for name, cell in zip("abc", cells, strict=True))
    found = read_manifests([manifest(tmp_path / "list.csv", f"path,cell\n{rows}")])
    assert found.types == {"cell": kind}
    assert tuple(found.of(str(tmp_path / f"{name}.png"))["cell"] for name in "abc") == values


def test_columns_of_several_manifests(tmp_path: Path) -> None:
    first = manifest(tmp_path / "a.csv", "path,age,side\na.png,70,left\nb.png,,right\n")
    second = manifest(tmp_path / "b.csv", "side,path,dose\nleft,c.png,0.5\n")
    found = read_manifests([first, tmp_path, second])
    assert list(found.types.items()) == [("age", pa.int64()), ("side", pa.string()), ("dose", pa.float64())]
    assert found.of(str(tmp_path / "a.png")) == {"age": 70, "side": "left", "dose": None}
    assert found.of(str(tmp_path / "c.png")) == {"age": None, "side": "left", "dose": 0.5}
    assert found.of(str(tmp_path / "d.png")) == {}
    assert read_manifests([first, second], ["dose", "age"]).of(str(tmp_path / "c.png")) == {"age": None, "dose": 0.5}
    places = (str(tmp_path / name) for name in ("a.png", "b.png"))
    assert read_manifests([first], []) == Manifest(types={}, values=dict.fromkeys(places, ()))


def test_one_name_in_two_manifests_is_two_files(tmp_path: Path) -> None:
    tables = []
    for site, age in (("a", 70), ("b", 35)):
        (tmp_path / site).mkdir()
        tables.append(manifest(tmp_path / site / "list.csv", f"path,age\n1.png,{age}\ns3://shared/{site}.png,1\n"))
    found = read_manifests(tables)
    assert found.of(str(tmp_path / "a/1.png")) == {"age": 70}
    assert found.of(str(tmp_path / "b/1.png")) == {"age": 35}
    assert found.of("s3://shared/a.png") == {"age": 1}
    assert found.of("1.png") == found.of(None) == {}


def test_a_column_that_no_manifest_has(tmp_path: Path) -> None:
    first = manifest(tmp_path / "a.csv", "path,age,side\na.png,70,left\n")
    with pytest.raises(StoreError, match=r"^no manifest has a column dose$") as caught:
        read_manifests([first], ["age", "dose", "weight"])
    assert caught.value.hint == "columns are age, side"
    with pytest.raises(StoreError) as caught:
        read_manifests([tmp_path / "a.png"], ["age"])
    assert caught.value.hint == "columns are none: no source is a .csv"


def test_what_is_no_readable_table_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(b"path,age\n\xff\xfe,1\n")
    rows = manifest(
        tmp_path / "a.csv", "path,age,\na.png,70,x,y\nb.png\n"
    )  # a column without a name, cells without one
    found = read_manifests([tmp_path / "gone.csv", tmp_path / "b.csv", rows])
    assert found.types == {"age": pa.int64()}
    assert (found.of(str(tmp_path / "a.png")), found.of(str(tmp_path / "b.png"))) == ({"age": 70}, {"age": None})
