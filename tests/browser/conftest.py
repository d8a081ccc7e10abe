"""One server with the page and an index, and one browser, for all tests here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import dualsight
from browser.chromium import Recorder, browsing
from browser.steps import PATIENCE_MS, SAMPLES, WIDE, opened
from server_process import Server, serving

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def model() -> dualsight.Model:
    """The model that the server runs, here for comparison."""
    return dualsight.load("demo")


@pytest.fixture(scope="session")
def index(model: dualsight.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the samples."""
    folder = tmp_path_factory.mktemp("index") / "samples.db"
    dualsight.Index.open(folder, model=model).add([SAMPLES / "phantoms", SAMPLES / "real"])
    return folder


@pytest.fixture(scope="session")
def recorder() -> Iterator[Recorder]:
    """What the browser and the server would ask other machines: nothing, in all tests together."""
    recorder = Recorder()
    yield recorder
    recorder.close()
    assert recorder.asked == []


@pytest.fixture(scope="session")
def server(index: Path, recorder: Recorder) -> Iterator[Server]:
    """`dualsight serve --ui`."""
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), recorder.address)
    with serving("--ui", "--db", index, NO_PROXY="127.0.0.1", **proxies) as server:
        yield server


@pytest.fixture(scope="module")
def browser(recorder: Recorder) -> Iterator[Browser]:
    """Chromium. Of a module: as long as it is there Playwright's loop runs in this thread, and no other can."""
    with browsing(recorder.address) as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """`visit(size)`: the page in a session of its own."""
    contexts = []

    def visit(size: tuple[int, int] = WIDE, *, dark: bool = False) -> Page:
        width, height = size
        scheme = "dark" if dark else "light"
        contexts.append(
            browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
        )
        return opened(contexts[-1].new_page(), server.url)

    yield visit
    for context in contexts:
        context.close()
