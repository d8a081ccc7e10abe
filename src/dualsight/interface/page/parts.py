"""Pieces that several tabs lay out: a place for an answer, a place for a file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import gradio as gr


def outlet(*, script: str | None = None) -> gr.HTML:
    """A place for an answer. script: the name of the file with what it does in the browser."""
    return gr.HTML(
        apply_default_css=False, elem_classes="walk", js_on_load=None if script is None else _resource(script)
    )


def drop(title: str, limit_bytes: int) -> gr.HTML:
    """A place for one file. Its value is the upload's token, empty for none; `dropped` is its event."""
    return gr.HTML(
        "",
        html_template=_resource("drop.html"),
        js_on_load=_resource("drop.js"),
        title=title,
        limit_bytes=limit_bytes,
        apply_default_css=False,
        elem_classes="walk",
    )


@cache
def _resource(name: str) -> str:
    """A file that lies beside this one."""
    return (files("dualsight.interface.page") / name).read_text(encoding="utf-8")


def style() -> str:
    """The page's own style sheet."""
    return _resource("style.css")
