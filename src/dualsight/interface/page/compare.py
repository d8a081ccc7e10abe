"""The tab Compare: two pictures and texts, and how alike each is to each."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr
import numpy as np

from dualsight.errors import UnreadableImage
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.page.label_sets import lines
from dualsight.interface.page.lanes import ANSWER, connect
from dualsight.interface.page.parts import outlet
from dualsight.interface.page.picture_input import Pictures, choose, picture_input
from dualsight.interface.page.telling import telling
from dualsight.interface.page_walk.parts import bar, table
from dualsight.task.model import Model

N_VALUES = 4  # of one picture input


def compare_tab(model: Model, pictures: Pictures, limits: ServerLimits) -> None:
    """Lays the tab out where it is called."""
    with gr.Row():
        with gr.Column():
            first = picture_input("Picture A", pictures, limits.body_bytes)
        with gr.Column():
            second = picture_input("Picture B", pictures, limits.body_bytes)
    texts = gr.Textbox(lines=3, max_lines=8, label="Texts", info="One a line; none are needed beside two pictures")
    go = gr.Button("Compare", variant="primary")
    note = outlet()
    matrix = outlet()

    @telling("")
    def compare(*values: Any) -> tuple[Any, ...]:
        *chosen_values, words = values
        inputs = {"A": choose(*chosen_values[:N_VALUES]), "B": choose(*chosen_values[N_VALUES:])}
        frames = {letter: pictures.frame(chosen) for letter, chosen in inputs.items() if chosen.token}
        if not frames:
            raise UnreadableImage("no file yet", source="the pictures", hint="drop one or two")
        names = lines(words)
        limits.check_texts(names)
        vectors = model.encode_image(list(frames.values()))  # [n, D]
        others = np.concatenate([vectors, model.encode_text(names)])  # [n + m, D]
        heads = [f"<b>{letter}</b> {escape(frame.source)}" for letter, frame in frames.items()]
        return (_matrix(others @ vectors.T, list(frames), [*heads, *map(escape, names)]),)

    inputs = [*first.inputs, *second.inputs, texts]
    comparing = connect(go.click, compare, inputs, [note, matrix], lane=ANSWER, busy=matrix)
    first.clears(matrix, stops=(comparing,))
    second.clears(matrix, stops=(comparing,))


def _matrix(cosines: Any, columns: list[str], rows: list[str]) -> str:
    """Cosines [n + m, n] as a table, each with a bar from 0 to 1."""
    body = "".join(
        f'<tr><th scope="row" class="words">{head}</th>'
        + "".join(f"<td>{value:+.3f}{bar(float(value))}</td>" for value in values)
        + "</tr>"
        for head, values in zip(rows, cosines, strict=True)
    )
    what = "Cosines: 1 is the same direction, 0 nothing in common"
    drawn = table(what, ("beside", *columns), [body])
    return f'<p class="unseen" role="status">Compared.</p><div class="grid">{drawn}</div>'
