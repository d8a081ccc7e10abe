"""The same content has the same hash, whatever it is called and wherever it lies."""

from __future__ import annotations

import hashlib
import hmac
import zipfile
from pathlib import Path

import pytest

from dualsight.image.archive import Member
from dualsight.image.object_store import Object
from dualsight.image.source import Item
from dualsight.image.study import Series, Study
from dualsight.store import content
from dualsight.store.content import absolute, first_item, hash_text, hash_unit, place_of

KEY = b"0123456789abcdef"


def item(name: str, data: bytes) -> Item:
    return Item(name=name, content=lambda: data)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("chunk", [4, 1 << 20])
def test_a_files_hash_is_that_of_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(content, "_CHUNK", chunk)
    (tmp_path / "a").write_bytes(b"some bytes")
    file = Item(name="a", content=tmp_path / "a")
    assert hash_unit(file).content_hash == sha(b"some bytes")
    assert hash_unit(file).unit is file
    assert hash_unit(file, KEY).content_hash == hmac.digest(KEY, b"some bytes", "sha256").hex()


def test_what_was_fetched_for_its_hash_is_kept() -> None:
    fetched = []
    once = Item(name="a", content=lambda: fetched.append(1) or b"some bytes")  # type: ignore[func-returns-value]
    hashed = hash_unit(once)
    assert hashed.content_hash == sha(b"some bytes")
    assert (hashed.unit.name, hashed.unit.load(), len(fetched)) == ("a", b"some bytes", 1)  # type: ignore[union-attr]


@pytest.mark.parametrize("key", [None, KEY])
def test_a_series_is_its_files_in_any_order(key: bytes | None) -> None:
    a, b, c = item("a", b"1"), item("b", b"2"), item("c", b"3")

    def of(data: bytes) -> str:
        return sha(data) if key is None else hmac.digest(key, data, "sha256").hex()

    hashed = hash_unit(Series(name="b", items=(a, b)), key)
    assert hashed.content_hash == of("\n".join(sorted([of(b"1"), of(b"2")])).encode())
    assert hash_unit(Series(name="x", items=(b, a)), key).content_hash == hashed.content_hash
    assert isinstance(hashed.unit, Series) and hashed.unit.name == "b"
    assert [one.load() for one in hashed.unit.items] == [b"1", b"2"]
    third = Series(name="c", items=(c,))
    study = hash_unit(Study(name="c", series=(hashed.unit, third)), key)
    parts = [hashed.content_hash, hash_unit(third, key).content_hash]
    assert study.content_hash == of("\n".join(sorted(parts)).encode())
    assert isinstance(study.unit, Study) and [one.name for one in study.unit.series] == ["b", "c"]


def test_a_texts_hash() -> None:
    assert hash_text("ü") == sha("ü".encode())
    assert hash_text("\udc80") == sha(b"\x80")  # of a name that is no UTF-8


def test_the_file_that_a_unit_is_named_after() -> None:
    a, b, c = item("a", b"1"), item("b", b"2"), item("c", b"3")
    assert first_item(a) is a
    first, second = Series(name="b", items=(a, b)), Series(name="c", items=(c,))
    assert first_item(first) is b
    assert first_item(Series(name="gone", items=(a, b))) is a
    assert first_item(Study(name="c", series=(first, second))) is c
    assert first_item(Study(name="gone", series=(first, second))) is a


def test_a_unit_for_another_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = Item(name="a.png", content=Path("a.png"))
    with zipfile.ZipFile("all.zip", "w") as archive:
        archive.writestr("a.png", b"")
    member = Item(name="m", content=Member(name="all.zip!a.png", archive=Path("all.zip"), entry=0, max_bytes=9))
    fetched = item("f", b"1")
    study = absolute(Study(name="a.png", series=(Series(name="a.png", items=(file, member, fetched)),)))
    assert isinstance(study, Study) and study.name == "a.png"
    one, two, three = study.series[0].items
    assert (one.name, one.content) == ("a.png", Path.cwd() / "a.png")
    assert isinstance(two.content, Member) and two.content.archive == Path.cwd() / "all.zip"
    assert three is fetched
    assert absolute(study.series[0]) == study.series[0]
    assert absolute(file) == one


def test_where_an_item_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    member = Member(name="m.zip!a.png", archive=Path("m.zip"), entry=0, max_bytes=9)
    assert place_of(Path("a.png")) == str(tmp_path / "a.png")
    assert place_of(member) == str(tmp_path / "m.zip")
    assert place_of(Object(address="s3://b/a.png", max_bytes=9)) == "s3://b/a.png"
    assert place_of(lambda: b"sent") is None
