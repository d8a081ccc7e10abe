"""A query and its hits as one picture: each hit with its rank, score, source and fields in words.

┌ what was looked for ───────────────┐
│ [hit] [hit] [hit] [hit] [hit]      │
│ words words words words words      │
│ the model's notice                 │
└────────────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dualsight.store.hits import SCORE, Hits
from dualsight.store.schema import FIELDS
from dualsight.store.thumbnail import thumbnail

COLUMNS = 5
SIDE, MARGIN, LINE = 224, 16, 19
FONT_PX, HEAD_PX = 14, 18
USER_LINES = 4  # of the user's own columns under a hit
PAPER, INK, SOFT, EMPTY = "#ffffff", "#14202b", "#51606d", "#e6eaee"


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of words, and its colour."""

    words: str
    colour: str


def contact_sheet(hits: Hits, query: str, *, pictures: Sequence[Image.Image] = (), notice: str = "") -> Image.Image:
    """The sheet, RGB. query: what was looked for, in words; pictures: and in pictures. notice: of the model."""
    rows = hits.to_arrow().to_pylist()
    user = [name for name in hits.to_arrow().column_names if name not in FIELDS and name != SCORE][:USER_LINES]
    captions = [_caption(rank, row, user) for rank, row in enumerate(rows, start=1)]
    n_lines = max(map(len, captions), default=0)
    looked_for = len(pictures) * (SIDE // 2 + MARGIN)  # pixels; beside them the words have at least a column
    columns = max(2, min(COLUMNS, len(rows)), -(-looked_for // (SIDE + MARGIN)) + 1)
    head = _wrapped(query, columns * (SIDE + MARGIN) - MARGIN - looked_for)
    top = MARGIN + max(len(head) * (HEAD_PX + 6), SIDE // 2 if pictures else 0) + LINE + MARGIN
    cell = SIDE + n_lines * LINE + 2 * MARGIN
    foot = _wrapped(notice, columns * (SIDE + MARGIN) - MARGIN) if notice else []
    bottom = top + -(-len(rows) // columns) * cell
    sheet = Image.new("RGB", (MARGIN + columns * (SIDE + MARGIN), bottom + len(foot) * LINE + MARGIN), PAPER)
    _draw_head(sheet, head, pictures, _scope(hits), top)
    for number, words in enumerate(foot):
        ImageDraw.Draw(sheet).text((MARGIN, bottom + number * LINE), words, SOFT, _font())
    for place, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        x, y = MARGIN + place % columns * (SIDE + MARGIN), top + place // columns * cell
        _draw_hit(sheet, x, y, thumbnail(row, SIDE), caption)
    return sheet


def _caption(rank: int, row: Mapping[str, Any], user: Sequence[str]) -> list[_Line]:
    described = " · ".join(row[name] for name in ("modality", "body_part", "view") if row[name])
    place = None if row["frame_index"] is None or row["n_frames"] == 1 else f"frame {row['frame_index']}"
    lines = [_Line(f"{rank}.  {row[SCORE]:.3f}", INK), _Line(_tail(row["text"] or row["source"]), INK)]
    lines += [_Line(words, SOFT) for words in (place, described) if words]
    return lines + [_Line(f"{name}: {row[name]}", SOFT) for name in user if row[name] is not None]


def _scope(hits: Hits) -> str:
    how = "exact search" if hits.is_exact else "approximate search"
    return f"{len(hits)} of {hits.n_rows:,} rows, {how}; scores are cosines"


def _draw_head(sheet: Image.Image, head: Sequence[str], pictures: Sequence[Image.Image], scope: str, top: int) -> None:
    draw, x = ImageDraw.Draw(sheet), MARGIN
    for picture in pictures:
        small = picture.copy()
        small.thumbnail((SIDE // 2, SIDE // 2))
        sheet.paste(small, (x, MARGIN))
        x += SIDE // 2 + MARGIN
    for number, words in enumerate(head):
        draw.text((x, MARGIN + number * (HEAD_PX + 6)), words, INK, ImageFont.load_default(HEAD_PX))
    draw.text((MARGIN, top - LINE - MARGIN // 2), _fitted(scope, sheet.width - 2 * MARGIN), SOFT, _font())


def _draw_hit(sheet: Image.Image, x: int, y: int, picture: Image.Image | None, caption: Sequence[_Line]) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((x, y, x + SIDE - 1, y + SIDE - 1), EMPTY)
    if picture is None:
        draw.text((x + MARGIN, y + SIDE // 2 - LINE), "picture not at hand", SOFT, _font())
    else:
        sheet.paste(picture, (x + (SIDE - picture.width) // 2, y + (SIDE - picture.height) // 2))
    for number, line in enumerate(caption):
        draw.text((x, y + SIDE + 6 + number * LINE), _fitted(line.words, SIDE), line.colour, _font())


def _font() -> Any:
    return ImageFont.load_default(FONT_PX)


def _tail(source: str) -> str:
    """A long name's end, which tells files apart."""
    return source if len(source) <= 34 else f"…{source[-33:]}"


def _fitted(words: str, width: int) -> str:
    """As much of a line as there is room for."""
    words = " ".join(words.split())
    if _font().getlength(words) <= width:
        return words
    while words and _font().getlength(f"{words}…") > width:
        words = words[:-1]
    return f"{words}…"


def _wrapped(text: str, width: int) -> list[str]:
    """The words in lines that fit."""
    font = ImageFont.load_default(HEAD_PX)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
