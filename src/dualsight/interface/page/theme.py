"""Gradio's theme in the page's own colours, with the visitor's own fonts: nothing is loaded from elsewhere."""

from __future__ import annotations

from typing import Any

from gradio.themes.base import Base

FONT = ["system-ui", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]

# light, dark; those of page_walk/style.css
_PAPER = ("#fbfaf7", "#14161a")
_CARD = ("#ffffff", "#1c1f25")
_INK = ("#1d2129", "#e9e7e2")
_SOFT = ("#5a616e", "#a7adb8")
_LINE = ("#dcdad3", "#343943")
_TONE = ("#0f6b74", "#6fcbd2")
_ON_TONE = ("#ffffff", "#10262a")

_COLOURS = {
    "body_background_fill": _PAPER,
    "body_text_color": _INK,
    "body_text_color_subdued": _SOFT,
    "background_fill_primary": _CARD,
    "background_fill_secondary": _PAPER,
    "block_background_fill": _CARD,
    "block_label_text_color": _SOFT,
    "block_title_text_color": _INK,
    "block_info_text_color": _SOFT,
    "border_color_primary": _LINE,
    "input_background_fill": _PAPER,
    "input_border_color": _LINE,
    "input_placeholder_color": _SOFT,
    "button_primary_background_fill": _TONE,
    "button_primary_background_fill_hover": _TONE,
    "button_primary_text_color": _ON_TONE,
    "button_secondary_background_fill": _CARD,
    "button_secondary_background_fill_hover": _PAPER,
    "button_secondary_border_color": _LINE,
    "button_secondary_text_color": _INK,
    "checkbox_background_color_selected": _TONE,
    "checkbox_border_color_selected": _TONE,
    "checkbox_label_background_fill": _PAPER,
    "checkbox_label_background_fill_selected": _PAPER,
    "checkbox_label_text_color": _INK,
    "checkbox_label_text_color_selected": _INK,
    "slider_color": _TONE,
    "color_accent_soft": _PAPER,
    "loader_color": _TONE,
}


def theme() -> Any:
    """The theme, for light and for dark."""
    chosen: dict[str, Any] = {"input_border_width": "1px"}
    for name, (light, dark) in _COLOURS.items():
        chosen[name], chosen[f"{name}_dark"] = light, dark
    return Base(font=FONT, font_mono=MONO).set(**chosen, color_accent=_TONE[0])
