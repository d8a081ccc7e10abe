"""The application in this process, with the demonstration model, asked as a client would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx2
import pytest

import dualsight
from dualsight.interface.http.app import Settings, create_app

Ask = Callable[..., httpx2.Response]


@pytest.fixture(scope="session")
def model() -> dualsight.Model:
    return dualsight.load("demo")


@contextmanager
def running(settings: Settings) -> Iterator[Ask]:
    """`ask(method, path, **of httpx2)`; the application lives until the block ends."""
    with asyncio.Runner() as runner:
        app = create_app(settings)
        life = app.router.lifespan_context(app)
        runner.run(life.__aenter__())
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")

        def ask(method: str, path: str, **options: Any) -> httpx2.Response:
            return runner.run(client.request(method, path, **options))

        try:
            yield ask
        finally:
            runner.run(client.aclose())
            runner.run(life.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def start() -> Callable[[Settings], AbstractContextManager[Ask]]:
    return running


@pytest.fixture(scope="session")
def ask() -> Iterator[Ask]:
    with running(Settings()) as asking:
        yield asking
