"""Units on their way to vectors: what is known is passed over, what fails is told, and all comes back in order."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from dualsight.errors import FetchError, UnreadableImage
from dualsight.image.frame import FrameMeta
from dualsight.image.source import Item
from dualsight.store.content import hash_unit
from dualsight.store.embed_units import Embeddings, Known, Records, Taken, Unreached, new_units, outcomes
from dualsight.task.embed import Embedded

KEY = b"0123456789abcdef"


def item(name: str, data: bytes | None) -> Item:
    def fetch() -> bytes:
        if data is None:
            raise FetchError("did not answer", source=name)
        return data

    return Item(name=name, content=fetch)


def embedded(index: int, frame_index: int = 0) -> Embedded:
    vector = np.ones(2, np.float32)
    return Embedded(index=index, source="s", frame_index=frame_index, n_frames=1, meta=FrameMeta(), vector=vector)


def test_what_is_known_or_out_of_reach_is_passed_over(tmp_path: Path) -> None:
    a, again, gone, lost = (
        item("a", b"1"),
        item("again", b"1"),
        Item(name="gone", content=tmp_path / "x"),
        item("l", None),
    )
    b, c = item("b", b"2"), item("c", b"3")
    known = {hash_unit(b).content_hash}
    records: Records = deque()
    taken = list(new_units([a, again, gone, lost, b, c], known, None, records))
    assert [unit.name for unit in taken] == ["a", "c"]
    one, two, three, four, five, six = records
    hashes = [hash_unit(unit).content_hash for unit in (a, b, c)]
    assert one == Taken(index=0, unit=a, content_hash=hashes[0])
    assert two == Known(unit=again, content_hash=hashes[0])
    assert isinstance(three, Unreached) and three.unit is gone and isinstance(three.error, UnreadableImage)
    assert str(three.error) == "gone: cannot be read (No such file or directory)"
    assert isinstance(four, Unreached) and four.unit is lost and isinstance(four.error, FetchError)
    assert five == Known(unit=b, content_hash=hashes[1])
    assert six == Taken(index=1, unit=c, content_hash=hashes[2])
    assert known == set(hashes)


def test_with_a_key_content_is_known_by_keyed_hashes() -> None:
    a = item("a", b"1")
    records: Records = deque()
    assert len(list(new_units([a], {hash_unit(a).content_hash}, KEY, records))) == 1
    assert len(list(new_units([a], {hash_unit(a, KEY).content_hash}, KEY, records))) == 0


def test_each_unit_comes_back_whole_and_in_order() -> None:
    units: list[Any] = [item(name, b"") for name in "abcdefg"]
    error = UnreadableImage("broken", source="d")
    records: Records = deque(
        [
            Known(unit=units[0], content_hash="0"),
            Taken(index=0, unit=units[1], content_hash="1"),
            Taken(index=1, unit=units[2], content_hash="2"),  # of which nothing came
            Unreached(unit=units[3], error=error),
            Taken(index=2, unit=units[4], content_hash="4"),
            Known(unit=units[5], content_hash="5"),
            Taken(index=3, unit=units[6], content_hash="6"),
        ]
    )
    results = [embedded(0, 0), embedded(0, 1), embedded(2)]
    found = list(outcomes(records, results))
    assert [one.unit for one in found] == units
    assert [type(one) for one in found] == [Known, Embeddings, Embeddings, Unreached, Embeddings, Known, Embeddings]
    made = [one.results for one in found if isinstance(one, Embeddings)]
    assert made == [tuple(results[:2]), (), tuple(results[2:]), ()]
    assert [one.content_hash for one in found if isinstance(one, Embeddings)] == ["1", "2", "4", "6"]
    assert not records


def test_a_unit_is_told_as_soon_as_the_next_one_begins() -> None:
    units = [item(name, b"") for name in "ab"]
    records: Records = deque([Taken(index=n, unit=unit, content_hash="") for n, unit in enumerate(units)])
    drawn = []

    def results() -> Any:
        for index in (0, 0, 1):
            drawn.append(index)
            yield embedded(index)

    stream = outcomes(records, results())
    assert next(stream).unit is units[0] and drawn == [0, 0, 1]
    assert next(stream).unit is units[1] and len(list(stream)) == 0
