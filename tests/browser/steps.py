"""What a visitor does on the page, by the words that stand there."""

from __future__ import annotations

import base64
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
DATA = ROOT / "tests/data/images"
TABS = ("Classify", "Compare", "Search", "Look inside", "Model")
WIDE, NARROW = (1280, 900), (390, 844)
PATIENCE_MS = 60_000  # the machine may have other work


def opened(page: Page, url: str) -> Page:
    """The page, once it can be used."""
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{url}/ui/")
    page.locator(".drop").first.wait_for()
    return page


def go_to(page: Page, tab: str) -> None:
    """Another tab."""
    page.evaluate("window.scrollTo(0, 0)")
    page.get_by_role("tab", name=tab).click()


def give(page: Page, file: Path | dict[str, Any], place: int = 0) -> None:
    """Chooses a file at the tab's drop number `place`; a dict is Playwright's name, mimeType and buffer."""
    page.locator(".drop:visible input").nth(place).set_input_files(file)


def drop(page: Page, file: Path) -> None:
    """Drops a file on the tab's first drop, as with the mouse."""
    transfer = page.evaluate_handle(
        """([name, base64]) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [file.name, base64.b64encode(file.read_bytes()).decode()],
    )
    zone = page.locator(".drop:visible").first
    zone.dispatch_event("dragover", {"dataTransfer": transfer})
    zone.dispatch_event("drop", {"dataTransfer": transfer})


def picture(page: Page, place: int = 0) -> Locator:
    """The picture that is shown, with its words."""
    return page.locator("figure.shown:visible").nth(place)


def field(page: Page, label: str) -> Locator:
    """The text field whose label begins so."""
    return page.get_by_role("textbox", name=re.compile(f"^{label}"))


def press(page: Page, name: str) -> None:
    """A button."""
    page.get_by_role("button", name=name, exact=True).click()


def unfold(page: Page, title: str) -> None:
    """Opens a part of the page that is folded away."""
    page.get_by_role("button", name=re.compile(f"^{title}")).click()


def bars(page: Page) -> list[tuple[str, float]]:
    """Labels and percentages, as they stand there."""
    page.locator("ol.bars li").first.wait_for()
    rows = page.locator("ol.bars li")
    return [
        (row.locator(".label").inner_text(), float(row.locator(".num").inner_text().removesuffix("%")))
        for row in rows.all()
    ]


def serious_faults(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical, a line each, once nothing is greyed out for being worked on."""
    expect(page.locator(".pending")).to_have_count(0)
    page.evaluate(_axe())
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 10, "axe has looked at nothing"
    return [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
