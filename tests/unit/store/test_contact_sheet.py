"""A contact sheet: where pictures and words stand on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFont

from dualsight.store import contact_sheet as sheets
from dualsight.store.contact_sheet import COLUMNS, EMPTY, LINE, MARGIN, SIDE, contact_sheet
from dualsight.store.hits import Hits
from dualsight.store.settings import Settings

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200), (200, 30, 200), (90, 60, 30)]


def hits(folder: Path, n: int, **columns: list[Any]) -> Hits:
    """`n` hits, each a picture of one colour, SIDE wide and half as high."""
    paths = []
    for place, colour in enumerate(COLOURS[:n]):
        paths.append(str(folder / f"{place}.png"))
        Image.new("RGB", (2 * SIDE, SIDE), colour).save(paths[-1])
    known: dict[str, list[Any]] = {
        "score": [1 - place / 10 for place in range(n)],
        "path": paths,
        "source": paths,
        "settings": [Settings().as_json()] * n,
        "n_frames": [1] * n,
    }
    empty = ("frame_index", "modality", "body_part", "view", "text")
    return Hits(table=pa.table({name: [None] * n for name in empty} | known | columns), is_exact=True, n_rows=1_234)


def pixels(sheet: Image.Image) -> np.ndarray:
    return np.asarray(sheet).astype(int)


def boxes(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and lower edge of what has the colour."""
    rows, columns = np.nonzero((pixels(sheet) == colour).all(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_hits_stand_in_rows_of_five(tmp_path: Path) -> None:
    sheet = contact_sheet(hits(tmp_path, 7), "words")
    assert sheet.mode == "RGB"
    assert sheet.width == MARGIN + COLUMNS * (SIDE + MARGIN)
    found = [boxes(sheet, colour) for colour in COLOURS]
    for place, (left, top, right, bottom) in enumerate(found):
        assert (right - left, bottom - top) == (SIDE, SIDE // 2)
        assert left == MARGIN + place % COLUMNS * (SIDE + MARGIN)
        assert top == found[place // COLUMNS * COLUMNS][1]
    cell = found[5][1] - found[0][1]
    assert cell == SIDE + 2 * LINE + 2 * MARGIN  # two lines under each hit: rank with score, source
    top = found[0][1] - SIDE // 4  # the pictures stand in the middle of their squares
    assert sheet.height == top + 2 * cell + MARGIN
    square = pixels(sheet)[top : top + SIDE, MARGIN : MARGIN + SIDE]
    assert (square[: SIDE // 4] == tuple(bytes.fromhex(EMPTY[1:]))).all()
    assert (pixels(sheet)[top - 3 : top, :] == 255).all()


def test_few_hits_make_a_narrow_sheet(tmp_path: Path) -> None:
    for n, columns in ((0, 2), (1, 2), (3, 3)):
        assert contact_sheet(hits(tmp_path, n), "words").width == MARGIN + columns * (SIDE + MARGIN)


def test_a_query_with_pictures_and_a_notice(tmp_path: Path) -> None:
    plain = contact_sheet(hits(tmp_path, 3), "words")
    queries = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ((1, 2, 3), (4, 5, 6))]
    sheet = contact_sheet(hits(tmp_path, 3), "words", pictures=queries, notice="a notice")
    small = SIDE // 2
    assert boxes(sheet, (1, 2, 3)) == (MARGIN, MARGIN, MARGIN + small, MARGIN + small)
    assert boxes(sheet, (4, 5, 6)) == (2 * MARGIN + small, MARGIN, 2 * MARGIN + 2 * small, MARGIN + small)
    assert queries[0].size == (SIDE, SIDE)  # the caller's own
    lower = boxes(sheet, COLOURS[0])[1] - boxes(plain, COLOURS[0])[1]
    assert lower == small - (sheets.HEAD_PX + 6)  # a line of words before, now a picture
    assert sheet.height == plain.height + lower + LINE
    foot = pixels(sheet)[-MARGIN - LINE : -MARGIN]
    assert (foot != 255).any() and (foot[:, :MARGIN] == 255).all()
    assert (pixels(sheet)[-MARGIN:] == 255).all()


def test_words_have_room_beside_many_query_pictures(tmp_path: Path) -> None:
    queries = [Image.new("RGB", (SIDE, SIDE), (1, 2, number)) for number in range(1, 8)]
    sheet = contact_sheet(hits(tmp_path, 3), "pneumonia " * 4, pictures=queries)
    _, top, last, bottom = boxes(sheet, (1, 2, 7))
    assert last < sheet.width - SIDE
    head = pixels(sheet)[top:bottom]
    assert (head[:, last + MARGIN : -MARGIN] != 255).any() and (head[:, -MARGIN:] == 255).all()


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that are drawn from now on."""
    words: list[str] = []
    text = sheets.ImageDraw.ImageDraw.text

    def noted(self: Any, place: Any, line: str, *arguments: Any, **options: Any) -> None:
        words.append(line)
        text(self, place, line, *arguments, **options)

    monkeypatch.setattr(sheets.ImageDraw.ImageDraw, "text", noted)
    return words


def test_the_words_under_a_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = drawn(monkeypatch)
    found = hits(
        tmp_path,
        3,
        source=["a.png", "i" * 20 + "l" * 20, "text"],
        text=[None, None, "said"],
        path=[None, None, None],
        frame_index=[3, 0, None],
        n_frames=[9, 1, 1],
        modality=["CT", "", None],
        body_part=[None, "HEAD", None],
        view=["AP", None, None],
        age=[70, None, 0],
        side=["left", None, None],
    )
    contact_sheet(found, "what was looked for", notice="a notice")
    assert words == [
        "what was looked for",
        "3 of 1,234 rows, exact search; scores are cosines",
        "a notice",
        *("picture not at hand", "1. 1.000", "a.png", "frame 3", "CT · AP", "age: 70", "side: left"),
        *("picture not at hand", "2. 0.900", "…" + "i" * 13 + "l" * 20, "HEAD"),
        *("picture not at hand", "3. 0.800", "said", "age: 0"),
    ]


def test_only_four_of_the_users_columns_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = drawn(monkeypatch)
    contact_sheet(hits(tmp_path, 1, **{name: [1] for name in "abcdef"}), "")
    assert words[-4:] == ["a: 1", "b: 1", "c: 1", "d: 1"]


def test_an_approximate_search_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = drawn(monkeypatch)
    found = hits(tmp_path, 1)
    contact_sheet(Hits(table=found.table, is_exact=False, n_rows=5), "")
    assert "1 of 5 rows, approximate search; scores are cosines" in words


def test_long_words_are_wrapped_or_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = drawn(monkeypatch)
    query = "pneumonia " * 20 + "w" * 100
    contact_sheet(hits(tmp_path, 1, source=["W" * 33]), query)
    lines = words[: words.index("1 of 1,234 rows, exact search; scores are cosines")]
    assert " ".join(lines) == query
    room = 2 * (SIDE + MARGIN) - MARGIN
    font = ImageFont.load_default(sheets.HEAD_PX)
    assert all(font.getlength(line) <= room for line in lines[:-1]) and lines[-1] == "w" * 100
    assert all(font.getlength(f"{line} pneumonia") > room for line in lines[:-2])
    cut = words[-1]
    assert cut.endswith("…") and set(cut[:-1]) == {"W"}
    small = ImageFont.load_default(sheets.FONT_PX)
    assert small.getlength(cut) <= SIDE < small.getlength(f"W{cut}")
