"""The whole page: what always stands above, and the tabs."""

from __future__ import annotations

from html import escape

import gradio as gr

from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.overlay import RESEARCH
from dualsight.interface.page.classify import classify_tab
from dualsight.interface.page.compare import compare_tab
from dualsight.interface.page.inside import inside_tab
from dualsight.interface.page.model_tab import model_tab
from dualsight.interface.page.picture_input import Pictures
from dualsight.interface.page.search import search_tab
from dualsight.store.index import Index
from dualsight.task.model import Model

TITLE = (
    "<h1>dualsight</h1><p class='soft'>Pictures and words in one space. What you drop here stays on the machine that "
    "serves this page.</p>"
)


def lay_out(model: Model, index: Index | None, pictures: Pictures, limits: ServerLimits) -> gr.Blocks:
    """The page for a model. It sends nothing anywhere but to its own server."""
    with gr.Blocks(title="dualsight", analytics_enabled=False, fill_width=False) as page:
        gr.HTML(TITLE, apply_default_css=False, elem_classes=["walk", "title"])
        gr.HTML(_running(model), apply_default_css=False, elem_classes=["walk", "running"])
        with gr.Tabs():
            with gr.Tab("Classify"):
                classify_tab(model, pictures, limits)
            with gr.Tab("Compare"):
                compare_tab(model, pictures, limits)
            with gr.Tab("Search"):
                search_tab(index, pictures, limits)
            with gr.Tab("Look inside"):
                inside_tab(model, pictures, limits)
            with gr.Tab("Model"):
                model_tab(model, limits)
    return page


def _running(model: Model) -> str:
    """What stays in sight: which model it is, and what its answers are not."""
    return (
        f'<p class="notice" role="note"><b>{escape(model.name)}</b> <code title="fingerprint">{model.fingerprint[:12]}'
        f"</code> is running: {escape(model.notice or RESEARCH)}.</p>"
    )
