"""The application: routes of all contracts, what every request passes through, and the service's life."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from dualsight import __version__
from dualsight.engine.processor import n_cores, share_threads
from dualsight.engine.select import EngineName, Precision
from dualsight.errors import DualsightError
from dualsight.interface.http import azure, explain, health, lion_ai, openai, own, search
from dualsight.interface.http.asked import ItemFailed
from dualsight.interface.http.body import BodyReader
from dualsight.interface.http.errors import refusal, refusal_of, status_of
from dualsight.interface.http.key_file import KeyFile
from dualsight.interface.http.keys import KeyCheck
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.logs import RequestLog
from dualsight.interface.http.maps import Maps
from dualsight.interface.http.metrics import Metrics
from dualsight.interface.http.service import Service
from dualsight.store.index import Index
from dualsight.task.model import Model, load

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

    from dualsight.learn.adapt.adapter import Adapter

_log = logging.getLogger(__name__)
# FastAPI would hand requests, and what was wrong in them, to whatever exporter the environment sets up
_SILENT: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator chooses. Sent to each worker process."""

    model: str = "demo"
    engine: EngineName = "auto"
    precision: Precision | None = None
    device: str = "cpu"
    adapter: Path | None = None  # with one, /score classifies
    keys: Path | None = None
    local_only: bool = True  # answers only to a Host that means this machine
    cores: int | None = None  # that each worker computes with; None: all
    page: bool = False  # with the page at /ui
    index: str | Path | None = None  # that /v1/search and the page search; an address is a str: a Path loses a slash
    limits: ServerLimits = field(default_factory=ServerLimits)


def load_all(settings: Settings) -> tuple[Model, Adapter | None]:
    """The model, and the adapter where there is one. Raises DualsightError where they cannot be used together."""
    model = load(settings.model, engine=settings.engine, precision=settings.precision, device=settings.device)
    if settings.adapter is None:
        return model, None
    from dualsight.learn.adapt.file import load_adapter

    adapter = load_adapter(settings.adapter)
    adapter.check_model(model)
    return model, adapter


def open_index(settings: Settings, model: Model) -> Index | None:
    """The index, where there is one. Raises StoreError where it is none, or another model's."""
    if settings.index is None:
        return None
    index = Index.open(settings.index, model=model)
    _ = index.about, index.model
    return index


def create_app(settings: Settings) -> FastAPI:
    """The application; its model is loaded when it starts. Raises ConfigError for an unusable key file."""
    metrics = Metrics()
    keys = None if settings.keys is None else KeyFile(settings.keys)
    app = FastAPI(
        title="dualsight",
        version=__version__,
        description="MedImageInsight, a dual encoder of medical images and text. No output is a diagnosis.",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        telemetry=_SILENT,
        lifespan=_life(settings, metrics),
    )
    app.state.metrics = metrics
    for contract in (own, search, explain, lion_ai, azure, openai, health):
        app.include_router(contract.routes)
    app.add_middleware(BodyReader, limits=settings.limits, metrics=metrics)  # the last one added is passed first
    if settings.page:
        from dualsight.interface.page.mount import mount_page

        mount_page(app, settings.limits)
    app.add_middleware(KeyCheck, keys=keys, local_only=settings.local_only)
    app.add_middleware(RequestLog, metrics=metrics)
    app.add_exception_handler(DualsightError, _refuse)
    app.add_exception_handler(ItemFailed, _refuse_item)
    app.add_exception_handler(RequestValidationError, _refuse_fields)
    app.add_exception_handler(HTTPException, _refuse_route)
    return app


def _life(settings: Settings, metrics: Metrics) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncGenerator[None, None]:
        """Loads and warms up before the first connection is taken; a worker that starts is never asked too early."""
        if settings.cores is not None:
            share_threads(settings.cores)
        model, app.state.adapter = load_all(settings)
        app.state.index = open_index(settings, model)
        app.state.maps = Maps(model, settings.limits, metrics)
        service = Service(model, settings.limits, metrics, cores=settings.cores or n_cores())
        await service.warm_up()
        app.state.service = service
        try:
            yield
        finally:
            app.state.service = None
            await service.close()
            await app.state.maps.close()

    return life


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DualsightError)  # noqa: S101 - what it is registered for
    if status_of(error) == 500:
        _log.error("a request has failed", exc_info=error)
    return refusal(error, request.url.path)


async def _refuse_item(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ItemFailed)  # noqa: S101 - what it is registered for
    return refusal(error.failed.error, request.url.path, index=error.failed.index)


async def _refuse_fields(request: Request, error: Exception) -> JSONResponse:
    """Which fields do not fit; not what was in them."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    problems = [{"field": ".".join(map(str, problem["loc"])), "problem": problem["msg"]} for problem in error.errors()]
    first = problems[0]
    message = f"{first['field']}: {first['problem']}" if first["field"] else first["problem"]
    details = {"hint": "/openapi.json says what each route takes", "fields": problems[:20]}
    return refusal_of(400, "malformed_request", message, request.url.path, details)


async def _refuse_route(request: Request, error: Exception) -> JSONResponse:
    """No such route, another method, or a body that is no JSON."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    codes = {400: "malformed_request", 404: "not_found", 405: "method_not_allowed"}
    code = codes.get(error.status_code, "refused")
    response = refusal_of(error.status_code, code, str(error.detail), request.url.path, {"hint": ""})
    response.headers.update(error.headers or {})
    return response
