"""Where an index is, whether there is one, and how much room it takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from dualsight.errors import StoreError
from dualsight.store import lance
from dualsight.store.schema import About, table_schema
from index_tables import circle, write_table

PLACE = "memory://bucket/index"
SCHEMA = table_schema(About(model="m", fingerprint="f", dimensions=2), {})


def test_an_address_stays_as_it_is() -> None:
    assert lance.place_of("s3://bucket/index") == "s3://bucket/index"
    assert lance.place_of("folder") == lance.place_of(Path("folder")) == Path("folder")


def test_a_table_is_there_with_its_first_version(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> None:
    versions = tmp_path / "embeddings.lance" / "_versions"
    for name, there in ((None, False), ("begun.tmp", False), ("1.manifest", True)):
        if name is not None:
            versions.mkdir(parents=True, exist_ok=True)
            (versions / name).write_bytes(b"1234")
            bucket.pipe_file(f"/bucket/index/embeddings.lance/_versions/{name}", b"1234")
        assert lance.has_table(tmp_path) is lance.has_table(PLACE) is there
    assert lance.n_bytes(tmp_path) == lance.n_bytes(PLACE) == 8


def test_a_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(lance, "file_system", lambda place: (SimpleNamespace(ls=refuse), "bucket/index"))
    with pytest.raises(StoreError, match=rf"^{PLACE}: the store does not deliver \(PermissionError\)$") as caught:
        lance.has_table(PLACE)
    assert "credentials" in caught.value.hint


def test_no_table_or_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"^{tmp_path}: no index is here$") as caught:
        lance.open_table(tmp_path)
    assert caught.value.hint == f"make one: dualsight index add PICTURES --db {tmp_path}"
    write_table(tmp_path, circle(0, 1))
    assert lance.open_table(tmp_path).count_rows() == 2
    for manifest in (tmp_path / "embeddings.lance" / "_versions").iterdir():
        manifest.write_bytes(b"damaged")
    with pytest.raises(
        StoreError, match=f"^{tmp_path}: the index cannot be opened, it is damaged or of a newer version$"
    ):
        lance.open_table(tmp_path)


def test_no_index_can_be_made_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="no index can be made here"):
        lance.create_table(tmp_path / "file", SCHEMA)


def test_others_commits_are_seen_at_once(tmp_path: Path) -> None:
    write_table(tmp_path, circle(0, 1))
    first, second = lance.open_table(tmp_path), lance.open_table(tmp_path)
    first.delete(f"`id` = '{0:032x}'")
    assert second.count_rows() == 1


def test_some_columns_of_some_rows(tmp_path: Path) -> None:
    table = write_table(tmp_path, circle(*range(20)), source=[str(n) for n in range(20)])
    assert lance.read_columns(table, ["source"]).num_rows == 20  # and not the ten that LanceDB gives unasked
    found = lance.read_columns(table, ["source", "kind"], "`source` = '7'")
    assert found.to_pylist() == [{"source": "7", "kind": "image"}]
