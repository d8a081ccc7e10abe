"""The tab Search, its handlers called as the page calls them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from dualsight.image.limits import Limits
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.page.picture_input import Pictures
from dualsight.interface.page.search import Shown, search_tab
from dualsight.interface.page.uploads import Uploads
from dualsight.store.index import Index
from index_tables import circle, write_table

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio")  # its use of pandas


async def laid_out(folder: Path) -> gr.Blocks:
    """The tab over an index; in a loop, because Gradio would open one of its own and leave it."""
    uploads = Uploads(folder, file_bytes=1, total_bytes=1)
    with gr.Blocks() as page:
        search_tab(Index(folder / "db"), Pictures(uploads, Limits()), ServerLimits())
    return page


def test_a_hit_that_was_pruned_meanwhile_is_no_longer_here(tmp_path: Path) -> None:
    table = write_table(tmp_path / "db", circle(0, 10), source=["a.png", "b.png"])
    page = asyncio.run(laid_out(tmp_path))
    (search_like,) = [one.fn for one in page.fns.values() if getattr(one.fn, "__name__", "") == "search_like"]

    def asked(place: int) -> tuple[Any, ...]:
        shown = Shown(ids=tuple(f"{number:032x}" for number in range(2)))
        return tuple(search_like(shown, 5, "", "", SimpleNamespace(place=place)))

    note, *_, gallery = asked(1)
    assert note == "" and "like b.png" in gallery
    table.delete("source = 'b.png'")
    for place in (1, 2, -1):
        assert "this hit is no longer here" in asked(place)[0]
