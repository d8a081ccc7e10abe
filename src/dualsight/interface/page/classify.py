"""The tab Classify: a picture, labels, probabilities as bars, and why."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from dualsight.errors import TextError
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.overlay import RESEARCH, draw_map, draw_scale, reach_of
from dualsight.interface.page.bars import Verdict, draw_bars
from dualsight.interface.page.label_choice import label_choice
from dualsight.interface.page.label_sets import lines
from dualsight.interface.page.lanes import ANSWER, MAP, SHOW, connect
from dualsight.interface.page.parts import drop, outlet
from dualsight.interface.page.picture_input import LONGEST, Chosen, Pictures, choose, picture_input
from dualsight.interface.page.telling import telling
from dualsight.interface.page_walk.figures import picture
from dualsight.interface.words import number
from dualsight.task.embed import Failed
from dualsight.task.explain.explain import Explanation, explain_frame, label_target
from dualsight.task.model import Model

if TYPE_CHECKING:
    from dualsight.learn.evaluate.thresholds import Thresholds

SCALE = 320  # pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked: a heat map is about this, and not about what the visitor has typed since."""

    chosen: Chosen
    labels: tuple[str, ...]  # in the answer's order
    templates: tuple[str, ...]


def classify_tab(model: Model, pictures: Pictures, limits: ServerLimits) -> None:
    """Lays the tab out where it is called."""
    question, thresholds = gr.State(None), gr.State(None)
    with gr.Row():
        with gr.Column():
            source = picture_input("Picture", pictures, limits.body_bytes)
            why = outlet(script="come.js")
        with gr.Column():
            labels, templates = label_choice(model)
            multilabel = gr.Checkbox(False, label="Each label on its own: several may be true")
            whole = gr.Checkbox(False, label="All slices or frames together, as one picture")
            with gr.Accordion("Thresholds", open=False):
                level = gr.Slider(0, 1, value=0.5, step=0.01, label="Above from", info="For labels on their own")
                file = drop("Or a thresholds file that dualsight evaluate wrote", limits.body_bytes)
                file_note = outlet()
            go = gr.Button("Classify", variant="primary")
            note = outlet()
            bars = outlet(script="pick.js")
            why_note = outlet()

    @telling(None)
    def take_thresholds(token: str) -> tuple[Any, ...]:
        if not token:
            return (None,)
        from dualsight.learn.evaluate.thresholds import read_thresholds

        upload = pictures.upload(token)
        return (read_thresholds(upload.path, name=upload.name),)

    @telling(None, "", "", "")
    def ask(token: str, window: str, plane: str, number: float, *values: Any) -> tuple[Any, ...]:
        label_text, template_text, multilabel, whole, level, thresholds = values
        chosen = choose(token, window, plane, number)
        names, prompts = lines(label_text), lines(template_text)
        limits.check_labels(len(names))
        limits.check_prompts(names, prompts)
        if thresholds is not None:
            thresholds.check(model.fingerprint, names, prompts, multilabel)
        picture = pictures.whole(chosen) if whole else pictures.frame(chosen)
        (answer,) = model.iter_classify(
            picture, names, multilabel=multilabel, templates=prompts, reading=pictures.reading(chosen)
        )
        if isinstance(answer, Failed):
            raise answer.error
        asked = Question(chosen=chosen, labels=answer.labels, templates=prompts)
        return asked, draw_bars(answer, _verdict(thresholds, level, multilabel)), "", ""

    @telling("")
    def explain(question: Question | None, event: gr.EventData) -> tuple[Any, ...]:
        place = int(event.place)
        if question is None or not 0 <= place < len(question.labels):
            raise TextError("no answer to explain", hint="classify first")
        label = question.labels[place]
        others = [other for other in question.labels if other != label]
        target = label_target(model, label, against=others, templates=question.templates)
        return (_heat_map(explain_frame(model, pictures.frame(question.chosen), target)),)

    connect(file.dropped, take_thresholds, [file], [file_note, thresholds], lane=SHOW, busy=file_note)
    inputs = [*source.inputs, labels, templates, multilabel, whole, level, thresholds]
    answering = connect(go.click, ask, inputs, [note, question, bars, why_note, why], lane=ANSWER, busy=bars)
    explaining = connect(bars.picked, explain, [question], [why_note, why], lane=MAP, busy=why_note, says_what=True)
    source.clears(bars, why_note, why, stops=(answering, explaining))


def _verdict(thresholds: Thresholds | None, level: float, multilabel: bool) -> Verdict | None:
    """By the file where there is one, else by one level for all labels that stand on their own."""
    if thresholds is not None:
        return thresholds.verdict
    return (lambda _, probability: "above" if probability >= level else "below") if multilabel else None


def _heat_map(found: Explanation) -> str:
    """The map over the picture, its scale, and how to read it."""
    reach = reach_of(found)
    against = f", against {len(found.against)} other labels" if found.against else ""
    kind = "difference of similarities" if found.against else "similarity"
    alt = f"Heat map of {found.label} over {found.frame.source}: warm where the picture speaks for it, blue against it"
    ends = "".join(f"<span>{end}</span>" for end in (f"{-reach:.2g}", "0", f"{reach:+.2g}"))
    return (
        f'<figure class="shown">{picture(draw_map(found), alt, longest=LONGEST)}'
        f'{picture(draw_scale(SCALE), "", kind="scale")}<div class="ends num" aria-hidden="true">{ends}</div>'
        f"<figcaption><b>{escape(found.label)}</b>{against}: {kind} {found.similarity:+.3f}. Warm speaks for it, "
        f"blue against it, at most {number(reach)} {escape(found.unit)}; by {escape(found.method)}. It shows what "
        f"moves this model’s answer, not what is there: {escape(found.notice or RESEARCH)}.</figcaption></figure>"
    )
