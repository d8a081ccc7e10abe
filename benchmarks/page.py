"""The page with five visitors at once, in a real browser: how long they wait, and what the server holds.

    make .venv/.chromium && .venv/bin/python benchmarks/page.py

One visitor first, then five at the same time: a picture dropped and shown, classified, explained. Then visitors come
and go. The browser runs on the same cores. Times are from the press to the answer on the page.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser.chromium import Recorder, browsing
from browser.steps import SAMPLES, WIDE, give, opened, press
from server_process import Server, serving

VISITORS = 5
PASSING = 40  # visitors who come, classify one picture, and go
FILES = sorted((SAMPLES / "phantoms").glob("*.png"))[:VISITORS]


def main() -> None:
    """Prints the table."""
    recorder = Recorder()
    with serving("--ui") as server, browsing(recorder.address) as browser:
        print(f"the server with its page, before anybody came: {server.peak_mib():.0f} MiB at its peak")
        with _visitors(browser, server, 1) as pages:
            _round(pages, "one visitor, first time")
            _round(pages, "one visitor")
        with _visitors(browser, server, VISITORS) as pages:
            _round(pages, f"{VISITORS} at once")
        print(f"after these: {server.peak_mib():.0f} MiB at its peak")
        for number in range(PASSING):
            with _visitors(browser, server, 1) as pages:
                _classify(pages)
            if number % 10 == 9:
                print(f"after {number + 1} more visitors: {server.peak_mib():.0f} MiB at its peak")
    recorder.close()
    print(f"requests to other machines: {len(recorder.asked)}")


def _round(pages: list[Page], who: str) -> None:
    _classify(pages, who)
    for page in pages:
        page.locator("ol.bars button").first.scroll_into_view_if_needed()
    _time(f"{who}: heat map", pages, lambda page: page.locator("ol.bars button").first.click(), "img.scale")


def _classify(pages: list[Page], who: str = "") -> None:
    def drop(page: Page) -> None:
        give(page, FILES[pages.index(page)])

    _time(f"{who}: shown", pages, drop, "figure.shown img")
    _time(f"{who}: classified", pages, lambda page: press(page, "Classify"), "ol.bars li")


def _time(what: str, pages: list[Page], begin: Callable[[Page], None], answer: str) -> None:
    """Begins everywhere, then waits everywhere."""
    started = []
    for page in pages:
        started.append(time.monotonic())
        begin(page)
    waited = []
    for page, since in zip(pages, started, strict=True):
        page.locator(answer).first.wait_for()
        waited.append(time.monotonic() - since)
    if not what.startswith(":"):
        print(f"{what}: {statistics.median(waited):.2f} s, at most {max(waited):.2f} s")


@contextmanager
def _visitors(browser: Browser, server: Server, n: int) -> Iterator[list[Page]]:
    width, height = WIDE
    contexts = [browser.new_context(viewport={"width": width, "height": height}) for _ in range(n)]
    started = time.monotonic()
    pages = [opened(context.new_page(), server.url) for context in contexts]
    if n > 1:
        print(f"{n} pages opened: {(time.monotonic() - started) / n:.2f} s each")
    yield pages
    for context in contexts:
        context.close()


if __name__ == "__main__":
    main()
