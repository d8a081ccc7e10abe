"""The tab Search: an index, by words or a picture; a hit can be the next query."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from dualsight.errors import StoreError
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.index_view import check_columns, visible_columns
from dualsight.interface.page.label_sets import lines
from dualsight.interface.page.lanes import ANSWER, connect
from dualsight.interface.page.parts import outlet
from dualsight.interface.page.picture_input import Pictures, choose, picture_input
from dualsight.interface.page.telling import telling
from dualsight.interface.page_walk.figures import picture
from dualsight.store.hits import SCORE, Hits
from dualsight.store.index import Index
from dualsight.store.query import Query
from dualsight.store.schema import FIELDS
from dualsight.store.thumbnail import thumbnail

SIDE = 224  # pixels of a hit
MOST = 48  # hits on a page: each picture is opened again
USER_COLUMNS = 4  # of the index's own that are shown of a hit
EXAMPLE = "modality = 'CT' and rows > 100"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The hits on the page: their rows' ids, in order."""

    ids: tuple[str, ...]


def search_tab(index: Index | None, pictures: Pictures, limits: ServerLimits) -> None:
    """Lays the tab out where it is called. index: None where the page was started without one."""
    if index is None:
        gr.HTML(
            "<p>No index is open here. Make one, and start the page with it:</p>"
            "<p><code>dualsight index add FOLDER --db archive.db</code><br>"
            "<code>dualsight ui --db archive.db</code></p>",
            apply_default_css=False,
            elem_classes="walk",
        )
        return
    shown = gr.State(None)
    columns = ", ".join(sorted(visible_columns(index)))
    with gr.Row():
        with gr.Column():
            words = gr.Textbox(lines=2, label="In words", info="What to look for; several lines are averaged")
            unlike = gr.Textbox(lines=1, label="Unlike", info="What the hits should not be")
            with gr.Row():
                k = gr.Slider(1, MOST, value=12, step=1, label="How many hits", min_width=240)
                per = gr.Dropdown(
                    [("every row", ""), "volume", "series", "study"], value="", label="One hit of each", min_width=240
                )
            where = gr.Textbox(label="Only where", info=f"Such as {EXAMPLE}", placeholder="")
            with gr.Accordion("Columns for a filter", open=False):
                gr.HTML(f"<p class='mono'>{escape(columns)}</p>", apply_default_css=False, elem_classes="walk")
        with gr.Column():
            source = picture_input("By a picture", pictures, limits.body_bytes)
    go = gr.Button("Search", variant="primary")
    note = outlet()
    gallery = outlet(script="pick.js")

    def find(query: Query, where: str, k: float, per: str, title: str) -> tuple[Any, ...]:
        check_columns(index, where, per or None)
        hits = index.search(query=query, where=where, k=int(k), per=per or None)
        return Shown(ids=tuple(hits.column("id"))), _gallery(hits, title)

    @telling(None, "")
    def search(token: str, window: str, plane: str, number: float, *values: Any) -> tuple[Any, ...]:
        word_text, unlike_text, k, per, where = values
        texts, others = lines(word_text), lines(unlike_text)
        limits.check_texts([*texts, *others, where])
        frames = (pictures.frame(choose(token, window, plane, number)),) if token else ()
        query = Query(texts=texts, images=frames, unlike=others)
        wanted = " + ".join([*(f"“{text}”" for text in texts), *(frame.source for frame in frames)])
        return find(query, where, k, per, wanted + "".join(f", not “{text}”" for text in others))

    @telling(gr.skip(), gr.skip())
    def search_like(shown: Shown | None, k: float, per: str, where: str, event: gr.EventData) -> tuple[Any, ...]:
        place = int(event.place)
        ids = () if shown is None else shown.ids
        found = index.batches(f"id = '{ids[place]}'") if 0 <= place < len(ids) else ()
        row = next((row for batch in found for row in batch.to_pylist()), None)
        if row is None:  # of a page that was left open, or pruned meanwhile
            raise StoreError("this hit is no longer here", hint="search again")
        query = Query(vector=np.asarray(row["vector"], np.float32))
        return find(query, where, k, per, f"like {_name(row)}")

    connect(
        go.click,
        search,
        [*source.inputs, words, unlike, k, per, where],
        [note, shown, gallery],
        lane=ANSWER,
        busy=gallery,
    )
    connect(
        gallery.picked,
        search_like,
        [shown, k, per, where],
        [note, shown, gallery],
        lane=ANSWER,
        busy=gallery,
        says_what=True,
    )


def _gallery(hits: Hits, title: str) -> str:
    """The hits as figures; a button's `data-pick` is the hit's place."""
    table = hits.to_arrow()
    user = [name for name in table.column_names if name not in FIELDS and name != SCORE][:USER_COLUMNS]
    cards = "".join(_card(place, row, user) for place, row in enumerate(table.to_pylist()))
    how = "exact" if hits.is_exact else "approximate"
    return (
        f'<h2 tabindex="-1">{escape(title)}</h2><p role="status" class="soft">{len(hits)} of {hits.n_rows:,} rows, '
        f'{how} search; scores are cosines.</p><ol class="hits">{cards}</ol>'
    )


def _card(place: int, row: dict[str, Any], user: list[str]) -> str:
    name = _name(row)
    drawn = thumbnail(row, SIDE)
    shown = _picture(drawn, name) if drawn is not None else '<p class="empty">no picture at hand</p>'
    words = [row[field] for field in ("modality", "body_part", "view") if row[field]]
    if row["frame_index"] is not None and row["n_frames"] != 1:
        words.append(f"slice or frame {row['frame_index'] + 1} of {row['n_frames']}")
    words += [f"{field}: {row[field]}" for field in user if row[field] is not None]
    return (
        f'<li><figure>{shown}<figcaption><b>{place + 1}. <span class="num">{row[SCORE]:.3f}</span></b> '
        f'<span class="name">{escape(name)}</span> {escape(" · ".join(map(str, words)))}</figcaption></figure>'
        f'<button type="button" data-pick="{place}">More like this<span class="unseen">: {escape(name)}</span>'
        "</button></li>"
    )


def _name(row: dict[str, Any]) -> str:
    """A text, or of a file's name what tells it from others; not where on the machine it lies."""
    return str(row["text"] or "/".join(Path(row["source"]).parts[-2:]))


def _picture(drawn: Image.Image, name: str) -> str:
    return picture(np.asarray(drawn.convert("RGB")), name)
