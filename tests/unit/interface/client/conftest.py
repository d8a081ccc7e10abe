"""The real server, with the demonstration model, in a thread of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

import dualsight
from dualsight.interface.http.app import Settings, create_app
from dualsight.interface.http.key_file import add_key, new_key

SAMPLES = Path(__file__).parents[4] / "samples/real"


class InThread(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@pytest.fixture(scope="module")
def key() -> str:
    return new_key()


@pytest.fixture(scope="module")
def index(model: dualsight.Model, tmp_path_factory: pytest.TempPathFactory) -> dualsight.Index:
    """The samples' pictures."""
    index = dualsight.Index.open(tmp_path_factory.mktemp("index") / "db", model=model)
    index.add(SAMPLES)
    return index


@pytest.fixture(scope="module")
def served(key: str, index: dualsight.Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; it asks for `key`, and has the samples as its index."""
    keys = tmp_path_factory.mktemp("server") / "keys"
    keys.write_text(add_key(keys, "tests", key))
    config = uvicorn.Config(
        create_app(Settings(keys=keys, index=index.folder)), port=0, log_level="critical", lifespan="on"
    )
    listener = config.bind_socket()
    server = InThread(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    assert server.listens.wait(60)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()
