"""The page in the server: one call when the application is made. It opens once the model is there."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from dualsight.errors import NotReady
from dualsight.image.limits import Limits
from dualsight.interface.http.errors import refusal
from dualsight.interface.http.keys import PAGE, is_below
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.metrics import Metrics
from dualsight.interface.page.guard import Guard
from dualsight.interface.page.layout import lay_out
from dualsight.interface.page.parts import style
from dualsight.interface.page.picture_input import Pictures
from dualsight.interface.page.theme import theme
from dualsight.interface.page.uploads import Uploads
from dualsight.interface.page_walk.write import style as walk_style
from dualsight.store.index import Index
from dualsight.task.model import Model

SESSIONS = 100  # whose last answers Gradio keeps; of more, the one not heard of for longest begins anew
_FILES_AT_ONCE = 32  # of the largest size, of all visitors


def mount_page(app: FastAPI, limits: ServerLimits) -> None:
    """Puts the page at /ui, outside of whatever the application's middleware added so far does to bodies.

    Its model, index and metrics are those of the application's state, once that has started.
    """
    app.state.page = None
    app.add_middleware(Below, path=PAGE, state=app.state)
    life = app.router.lifespan_context

    @asynccontextmanager
    async def life_with_page(app: FastAPI) -> AsyncGenerator[Any, None]:
        async with life(app) as began:
            state = app.state
            async with open_page(state.service.model, state.index, limits, state.metrics) as state.page:
                yield began

    app.router.lifespan_context = life_with_page


class Below:
    """Sends what lies below `path` to the page, once there is one, and every other request on."""

    def __init__(self, app: ASGIApp, path: str, state: State) -> None:
        self._app = app
        self._path = path
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not is_below(self._path, path):
            await self._app(scope, receive, send)
        elif self._state.page is None:
            await refusal(NotReady("the page is not there yet"), path)(scope, receive, send)
        else:
            await self._state.page(scope, receive, send)


@asynccontextmanager
async def open_page(
    model: Model, index: Index | None, limits: ServerLimits, metrics: Metrics
) -> AsyncGenerator[Guard, None]:
    """The page as an ASGI application at `PAGE`. What visitors dropped is deleted when it closes."""
    with tempfile.TemporaryDirectory(prefix="dualsight-page-") as folder:
        uploads = Uploads(Path(folder), file_bytes=limits.body_bytes, total_bytes=_FILES_AT_ONCE * limits.body_bytes)
        pictures = Pictures(uploads, Limits(pixels=limits.pixels, file_bytes=limits.image.file_bytes))
        inner = _application(lay_out(model, index, pictures, limits))
        async with inner.router.lifespan_context(inner):
            sweeping = asyncio.create_task(uploads.keep_sweeping())
            try:
                yield Guard(inner, path=PAGE, uploads=uploads, limits=limits, metrics=metrics)
            finally:
                sweeping.cancel()


def _application(blocks: gr.Blocks) -> FastAPI:
    """Gradio's own application, at `PAGE`, with all that it could do beyond this page switched off."""
    blocks.state_session_capacity = SESSIONS
    app: FastAPI = gr.mount_gradio_app(
        FastAPI(),
        blocks,
        PAGE,
        theme=theme(),
        head=f"<style>{walk_style()}{style()}</style>",  # as `css` Gradio would rewrite it
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
    )
    return app
