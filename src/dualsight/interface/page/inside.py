"""The tab Look inside: a picture and texts on their way through the model, and what a token looks at."""

from __future__ import annotations

from typing import Any

import gradio as gr

from dualsight.image.prepare import normalise, resize
from dualsight.interface.attention_sheet import draw_attention
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.page.label_sets import lines
from dualsight.interface.page.lanes import ANSWER, MAP, connect
from dualsight.interface.page.parts import outlet
from dualsight.interface.page.picture_input import Pictures, choose, picture_input
from dualsight.interface.page.telling import telling
from dualsight.interface.page_walk.figures import picture
from dualsight.interface.page_walk.write import html_part
from dualsight.task.explain.attention import attention
from dualsight.task.inspect.report import report_model
from dualsight.task.model import Model
from dualsight.text.prompts import check_labels


def inside_tab(model: Model, pictures: Pictures, limits: ServerLimits) -> None:
    """Lays the tab out where it is called."""
    with gr.Row():
        with gr.Column():
            source = picture_input("Picture", pictures, limits.body_bytes)
        with gr.Column():
            texts = gr.Textbox("x-ray chest\nct abdomen", lines=3, max_lines=8, label="Texts", info="One a line")
            go = gr.Button("Walk through the model", variant="primary")
            note = outlet()
            with gr.Accordion("Attention of a token", open=False):
                across = gr.Slider(0, 1, value=0.5, step=0.01, label="Across", info="From the left edge to the right")
                down = gr.Slider(0, 1, value=0.5, step=0.01, label="Down", info="From the upper edge to the lower")
                look = gr.Button("Show what it looks at")
                look_note = outlet()
    sheet = outlet()
    walk = outlet()

    @telling("")
    def take_walk(*values: Any) -> tuple[Any, ...]:
        *chosen_values, words = values
        names = lines(words)
        limits.check_texts(names)
        if names:
            check_labels(names)
        return (html_part(report_model(model, image=pictures.frame(choose(*chosen_values)), texts=names)),)

    @telling("")
    def look_at(*values: Any) -> tuple[Any, ...]:
        *chosen_values, across, down = values
        frame = pictures.frame(choose(*chosen_values))
        resized = resize(frame.pixels, model.config.preprocessing, source=frame.source)
        stages = attention(model, normalise(resized, model.config.preprocessing), (float(across), float(down)))
        alt = (
            f"Attention in {len(stages)} stages, a row each: {frame.source} with the token that looks, the window that "
            "it looks at, and how much each group of channels makes of each token"
        )
        drawn = picture(draw_attention(resized, stages), alt)
        return (f'<div class="wide" role="region" tabindex="0" aria-label="Attention by stage">{drawn}</div>',)

    walking = connect(go.click, take_walk, [*source.inputs, texts], [note, walk], lane=MAP, busy=walk)
    inputs = [*source.inputs, across, down]
    looking = connect(look.click, look_at, inputs, [look_note, sheet], lane=ANSWER, busy=sheet)
    source.clears(walk, sheet, stops=(walking, looking))
