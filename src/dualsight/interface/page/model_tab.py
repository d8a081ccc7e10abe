"""The tab Model: which one runs, what it is made of, its card, and what nobody should expect of it."""

from __future__ import annotations

from html import escape

import gradio as gr

from dualsight import __version__
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.page_walk.table_section import tables_section
from dualsight.interface.words import by, count
from dualsight.task.inspect.table import model_table
from dualsight.task.model import Model

LIMITS = (
    "Probabilities are of words among words: another choice of labels gives others.",
    "A softmax adds up to 100 % also when none of the labels is true.",
    "A heat map shows what moves this model's answer, not what is there.",
    "What it was not trained on it answers all the same, and as surely.",
    "Research software: no output is a diagnosis, and none may be used as one.",
)


def model_tab(model: Model, limits: ServerLimits) -> None:
    """Lays the tab out where it is called."""
    tables = tables_section(model_table(model.config.dual, model.config.dual.image_size), "made-of")
    gr.HTML(_facts(model, limits) + tables, apply_default_css=False, elem_classes="walk")
    card = _card(model)
    if card:
        gr.Markdown(card, elem_classes="card")


def _facts(model: Model, limits: ServerLimits) -> str:
    config = model.config
    facts = (
        ("name", escape(model.name)),
        ("fingerprint", f"<code>{model.fingerprint}</code>"),
        ("engine", escape(model.engine.name)),
        ("picture", f"{by((config.preprocessing.height, config.preprocessing.width))} pixels"),
        ("embedding", f"{count(config.dual.projection)} numbers"),
        ("text", f"at most {config.dual.text.context_length} tokens"),
        ("dualsight", __version__),
        ("a file here", f"at most {limits.body_bytes / 1e6:,.0f} MB, kept until you leave, and an hour at most"),
    )
    rows = "".join(f"<dt>{name}</dt><dd>{fact}</dd>" for name, fact in facts)
    what_not = "".join(f"<li>{line}</li>" for line in LIMITS)
    return f'<h2>The model that runs</h2><dl class="facts">{rows}</dl><h2>Limits</h2><ul class="limits">{what_not}</ul>'


def _card(model: Model) -> str:
    """The checkpoint's own README; empty where it has none."""
    readme = None if model.checkpoint.path is None else model.checkpoint.path / "README.md"
    if readme is None or not readme.is_file():
        return ""
    return readme.read_text(encoding="utf-8", errors="replace")
