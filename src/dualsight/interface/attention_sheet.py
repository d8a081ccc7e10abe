"""Attention of every stage as one picture: a row a stage, the token that looks marked in the first of its squares.

stage 1 │ picture, token │ mean of heads │ group 1 │ group 2 │ …
stage 2 │ …
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dualsight.interface.page_walk.figures import RGB, rising
from dualsight.interface.words import by
from dualsight.task.explain.attention import StageAttention

SQUARE = 160  # pixels of a square's longer side
GROUPS = 6  # channel groups that are shown of a stage; more are counted in words
MARGIN, LINE, FONT_SIZE = 10, 16, 12
INK, PAPER, MARK = (30, 30, 34), (255, 255, 255), (255, 220, 60)


def draw_attention(resized: RGB, stages: Sequence[StageAttention]) -> RGB:
    """uint8 [h, w, 3]. resized: what the encoder saw, uint8 [h, w, 3]."""
    scale = SQUARE / max(resized.shape[:2])
    size = (max(1, round(resized.shape[1] * scale)), max(1, round(resized.shape[0] * scale)))
    columns = 2 + max(0 if stage.groups is None else min(len(stage.groups), GROUPS) for stage in stages)
    row_height = size[1] + 2 * LINE + MARGIN
    sheet = Image.new("RGB", (columns * (size[0] + MARGIN) + MARGIN, len(stages) * row_height + LINE + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, stage in enumerate(stages):
        top = MARGIN + number * row_height
        draw.text((MARGIN, top), _heading(stage), fill=INK, font=_font())
        for column, (words, square) in enumerate(_squares(resized, stage)):
            left = MARGIN + column * (size[0] + MARGIN)
            sheet.paste(Image.fromarray(square).resize(size, Image.Resampling.NEAREST), (left, top + 2 * LINE))
            draw.text((left, top + LINE), words, fill=INK, font=_font())
    note = "dark: little, bright: much, each square by itself. Attention says what is mixed, not what decides."
    draw.text((MARGIN, len(stages) * row_height + MARGIN), note, fill=INK, font=_font())
    return np.asarray(sheet)


def _squares(resized: RGB, stage: StageAttention) -> list[tuple[str, RGB]]:
    """Each with the words above it."""
    squares = [("token", _marked(resized, stage)), ("window, mean of heads", _shaded(stage.window.mean(axis=0)))]
    groups = () if stage.groups is None else stage.groups[:GROUPS]
    return squares + [(f"channels, group {number}", _shaded(group)) for number, group in enumerate(groups, start=1)]


def _shaded(values: NDArray[np.float32]) -> RGB:
    """[H, W] from its least (dark) to its most (bright)."""
    reach = float(np.ptp(values)) or 1.0
    return rising(np.round((values - values.min()) / reach * 255).astype(np.uint8))


def _marked(resized: RGB, stage: StageAttention) -> RGB:
    """The picture with the token's square outlined."""
    height, width = resized.shape[0] / stage.grid[0], resized.shape[1] / stage.grid[1]
    row, column = stage.token
    picture = Image.fromarray(np.ascontiguousarray(resized))
    box = (column * width, row * height, (column + 1) * width - 1, (row + 1) * height - 1)
    ImageDraw.Draw(picture).rectangle(box, outline=MARK)
    return np.asarray(picture)


def _heading(stage: StageAttention) -> str:
    row, column = stage.token
    heading = f"stage {stage.stage}: {by(stage.grid).replace('×', ' by ')} tokens, row {row}, column {column} looks"
    if stage.groups is not None:
        heading += f"; {len(stage.groups)} channel groups"
    if stage.padding.any():
        heading += f"; {stage.padding.mean():.0%} to padding"
    return heading


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)
