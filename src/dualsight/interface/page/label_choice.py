"""What the picture is compared with: labels, their prompts, sets to begin with, and the visitor's own sets."""

from __future__ import annotations

from typing import Any

import gradio as gr

from dualsight.errors import TextError
from dualsight.interface.page.label_sets import LabelSet, as_kept, built_in, lines, read_saved, with_set
from dualsight.interface.page.lanes import SHOW, connect
from dualsight.interface.page.parts import outlet
from dualsight.interface.page.telling import telling
from dualsight.task.model import Model

_STORED = "dualsight-label-sets"  # in the browser; as its `secret` it hides nothing, but outlives a restart


def label_choice(model: Model) -> tuple[gr.Textbox, gr.Textbox]:
    """Lays the components out where it is called; those for labels and for prompts, one a line."""
    sets = built_in(model)
    first = next(iter(sets))
    kept = gr.BrowserState({}, storage_key=_STORED, secret=_STORED)
    name = gr.Dropdown(list(sets), value=first, label="Label set")
    labels = gr.Textbox("\n".join(sets[first].labels), lines=6, max_lines=12, label="Labels", info="One a line")
    with gr.Accordion("Prompts, and sets of your own", open=False):
        templates = gr.Textbox(
            "\n".join(sets[first].templates),
            lines=2,
            max_lines=6,
            label="Prompts",
            info="One a line; {label} stands for the label. Several are averaged",
        )
        new_name = gr.Textbox(label="Save labels and prompts as", info="They are kept in this browser alone")
        with gr.Row():
            save = gr.Button("Save the set")
            delete = gr.Button("Delete the chosen set")
        note = outlet()

    @telling(gr.skip())
    def list_names(kept: Any) -> tuple[Any, ...]:
        return (gr.update(choices=[*sets, *read_saved(kept)]),)

    @telling(gr.skip(), gr.skip())
    def fill_in(kept: Any, chosen: str) -> tuple[Any, ...]:
        found = (read_saved(kept) | sets)[chosen]
        return "\n".join(found.labels), "\n".join(found.templates)

    @telling(gr.skip(), gr.skip())
    def save_set(kept: Any, new: str, labels: str, templates: str) -> tuple[Any, ...]:
        added = LabelSet(labels=lines(labels), templates=lines(templates))
        now = with_set(read_saved(kept), new.strip(), added, sets)
        return now, gr.update(choices=[*sets, *now], value=new.strip())

    @telling(gr.skip(), gr.skip())
    def delete_set(kept: Any, chosen: str) -> tuple[Any, ...]:
        saved = read_saved(kept)
        if chosen not in saved:
            raise TextError(f"{chosen!r} is not a set of yours", hint="only these can be deleted")
        del saved[chosen]
        return as_kept(saved), gr.update(choices=[*sets, *saved], value=first)

    connect(kept.change, list_names, [kept], [note, name], lane=SHOW, busy=note)
    connect(name.input, fill_in, [kept, name], [note, labels, templates], lane=SHOW, busy=note)
    connect(save.click, save_set, [kept, new_name, labels, templates], [note, kept, name], lane=SHOW, busy=note)
    connect(delete.click, delete_set, [kept, name], [note, kept, name], lane=SHOW, busy=note)
    return labels, templates
