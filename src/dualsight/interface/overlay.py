"""Heat maps drawn over their picture: one panel a map, what it is about above it, the scale below it.

┌─────────┬─────────┬─────────┐
│         │ label a │ label b │   title
│ picture │  heat   │  heat   │   all of one height
│         │ ▒▒▒▒▒▒▒ │ ▒▒▒▒▒▒▒ │   scale, the same for all
└─────────┴─────────┴─────────┘   model, method, notice
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dualsight.task.explain.explain import Explanation

RGB = NDArray[np.uint8]  # [H, W, 3]
RESEARCH = "research software: no output is a diagnosis"

SHORTEST, LONGEST = 320, 768  # pixels of a panel's longer side
MARGIN, LINE = 12, 18
FONT_SIZE = 13
BAR = 10  # pixels of the scale's height
OPACITY = 0.65  # of the strongest heat
INK, PAPER = (30, 30, 34), (255, 255, 255)

# From strongest against to strongest for: blue, then nothing, then red to yellow; lightness rises away from zero.
_AGAINST = np.array([[150, 205, 255], [60, 130, 235], [20, 60, 160]], np.float32)
_FOR = np.array([[150, 20, 60], [235, 80, 30], [255, 220, 60]], np.float32)


def draw_overlay(explanations: Sequence[Explanation]) -> RGB:
    """uint8 [h, w, 3]: the picture and all maps of it beside one another. Raises ValueError for none."""
    if not explanations:
        raise ValueError("no map to draw")
    first = explanations[0]
    picture = _panel(first)
    size = picture.size
    reach = reach_of(*explanations)
    panels = [picture] + [Image.fromarray(blend(picture, _sized(e.map, size), reach)) for e in explanations]
    titles = [_wrapped(["picture"], size[0])] + [_wrapped(_title(e), size[0]) for e in explanations]
    width = len(panels) * (size[0] + MARGIN) + MARGIN
    footer = _wrapped(_footer(first), width - 2 * MARGIN)
    top = MARGIN + LINE * max(map(len, titles)) + 4
    below = top + size[1] + 6
    sheet = Image.new("RGB", (width, below + BAR + LINE + 8 + LINE * len(footer) + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = MARGIN + number * (size[0] + MARGIN)
        _write(draw, (left, MARGIN), title)
        sheet.paste(panel, (left, top))
        if number:
            _draw_scale(sheet, draw, (left, below), size[0], reach, explanations[number - 1].unit)
    _write(draw, (MARGIN, below + BAR + LINE + 8), footer)
    return np.asarray(sheet)


def draw_map(explanation: Explanation) -> RGB:
    """uint8 [h, w, 3]: the picture under one map, without words; its scale is `draw_scale` up to `reach_of` it."""
    picture = _panel(explanation)
    return blend(picture, _sized(explanation.map, picture.size), reach_of(explanation))


def draw_scale(width: int) -> RGB:
    """uint8 [h, width, 3]: the colours from strongest against to strongest for, as they look over mid grey."""
    steps = np.repeat(np.linspace(-1, 1, width, dtype=np.float32)[None], BAR, axis=0)
    return blend(Image.new("L", (width, BAR), 128), steps, 1.0)


def reach_of(*explanations: Explanation) -> float:
    """The magnitude that has full colour: the greatest of all the maps."""
    return max(float(np.abs(explanation.map).max()) for explanation in explanations) or 1.0


def blend(picture: Image.Image, values: NDArray[np.float32], reach: float) -> RGB:
    """uint8 [H, W, 3]: the picture in grey under heat [H, W] of its own size; full colour at a magnitude of `reach`."""
    grey = np.asarray(picture.convert("L"), np.float32)[..., None]
    parts = np.clip(values / reach, -1, 1)
    alpha = OPACITY * np.sqrt(np.abs(parts))[..., None]
    return np.round(grey * (1 - alpha) + _coloured(parts) * alpha).astype(np.uint8)


def _coloured(parts: NDArray[np.float32]) -> NDArray[np.float32]:
    """-1…1 [H, W] → colours [H, W, 3]."""
    anchors = np.concatenate([_AGAINST, _FOR])
    places = np.array([-1, -0.5, 0, 0, 0.5, 1], np.float32)
    places[3] = 1e-6  # the colour changes its side at zero, where nothing of it is seen
    return np.stack([np.interp(parts, places, anchors[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def _panel(explanation: Explanation) -> Image.Image:
    """The picture in the size that it is drawn in."""
    pixels = np.ascontiguousarray(explanation.frame.pixels)
    return Image.fromarray(pixels).resize(_panel_size(pixels.shape[:2]), Image.Resampling.BICUBIC)


def _panel_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """(width, height) of a panel for a picture of (height, width)."""
    longer = max(shape)
    scale = min(max(longer, SHORTEST), LONGEST) / longer
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def _sized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC))


def _title(explanation: Explanation) -> list[str]:
    against = f"against {', '.join(explanation.against)}" if explanation.against else ""
    kind = "difference of similarities" if against else "similarity"
    return [explanation.label, against, f"{kind} {explanation.similarity:+.3f}"]


def _footer(explanation: Explanation) -> list[str]:
    frame = explanation.frame
    part = f" · frame {frame.frame_index} of {frame.n_frames}, from 0" if frame.n_frames > 1 else ""
    cells = f"{explanation.grid[0]} by {explanation.grid[1]} cells"
    return [
        f"model {explanation.model} · method {explanation.method}, {cells}{part}",
        "warm: speaks for it; blue: speaks against it. It shows what moves this model's answer, not what is there.",
        explanation.notice or RESEARCH,
    ]


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)


def _wrapped(lines: Sequence[str], width: int) -> list[str]:
    """Lines that fit into so many pixels, blank ones left out."""
    characters = max(8, int(width / (FONT_SIZE * 0.52)))
    return [part for line in lines if line for part in textwrap.wrap(line, characters)]


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[str]) -> None:
    for number, line in enumerate(lines):
        draw.text((at[0], at[1] + number * LINE), line, fill=INK, font=_font())


def _draw_scale(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, at: tuple[int, int], width: int, reach: float, unit: str
) -> None:
    """A bar from -reach to reach as it looks over mid grey, with its ends, its zero and its unit."""
    sheet.paste(Image.fromarray(draw_scale(width)), at)
    below = at[1] + BAR + 2
    draw.text((at[0], below), f"{-reach:.2g}", fill=INK, font=_font())
    draw.text((at[0] + width // 2, below), f"0  {unit}", fill=INK, font=_font(), anchor="ma")
    draw.text((at[0] + width, below), f"{reach:+.2g}", fill=INK, font=_font(), anchor="ra")
