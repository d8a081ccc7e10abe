"""The pictures of the page in docs/: PYTHONPATH=tests python -m browser.screenshots FOLDER."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

import dualsight
from browser.chromium import Recorder, browsing
from browser.steps import NARROW, ROOT, SAMPLES, WIDE, field, give, go_to, opened, picture, press, unfold
from server_process import serving

CHEST, ABDOMEN, REAL = (
    SAMPLES / name
    for name in ("phantoms/00000-x-ray-chest.png", "phantoms/00001-ct-abdomen.png", "real/chest-x-ray.png")
)
TALLEST = 1800  # pixels: of a longer page its beginning is shown


def main(folder: Path) -> None:
    """Draws each tab at both widths."""
    folder = folder.absolute()
    os.chdir(ROOT)  # so that the index names its files from here
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as place:
        index = Path(place) / "samples.db"
        dualsight.Index.open(index).add(["samples/phantoms", "samples/real"])
        with serving("--ui", "--db", index) as server, browsing(recorder.address) as browser:
            for width, height in (WIDE, NARROW):
                context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
                page = opened(context.new_page(), server.url)
                for name, visit in (
                    ("classify", _classify),
                    ("compare", _compare),
                    ("search", _search),
                    ("inside", _inside),
                    ("model", _model),
                ):
                    visit(page)
                    _shoot(page, folder / f"page-{name}-{width}.png")
                context.close()
    recorder.close()


def _classify(page: Page) -> None:
    page.get_by_label("Label set").click()
    page.get_by_role("option", name="x-ray chest").click()
    give(page, CHEST)
    picture(page).wait_for()
    press(page, "Classify")
    page.get_by_role("button", name="Why pleural effusion").click()
    page.locator("img.scale").wait_for()


def _compare(page: Page) -> None:
    go_to(page, "Compare")
    give(page, CHEST)
    give(page, REAL, place=1)
    picture(page, 1).wait_for()
    field(page, "Texts").fill("x-ray chest pleural effusion\nx-ray chest no finding\nct abdomen")
    press(page, "Compare")
    page.locator("table:visible").wait_for()


def _search(page: Page) -> None:
    go_to(page, "Search")
    field(page, "In words").fill("fundus retina")
    press(page, "Search")
    page.locator("ol.hits li").first.wait_for()


def _inside(page: Page) -> None:
    go_to(page, "Look inside")
    give(page, ABDOMEN)
    picture(page).wait_for()
    field(page, "Texts").fill("ct abdomen liver lesion\nct abdomen no finding")
    press(page, "Walk through the model")
    page.locator("#tables:visible").wait_for()
    unfold(page, "Attention of a token")
    press(page, "Show what it looks at")
    page.get_by_role("img", name=re.compile("^Attention")).wait_for()


def _model(page: Page) -> None:
    go_to(page, "Model")
    page.locator("#made-of").wait_for()


def _shoot(page: Page, file: Path) -> None:
    """The tab from its top, in 256 colours: a third of the size."""
    page.mouse.move(0, 0)
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(500)
    whole = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    image = whole.crop((0, 0, whole.width, min(whole.height, TALLEST)))
    image.quantize(palette=image.quantize(256), dither=Image.Dither.FLOYDSTEINBERG).save(file, optimize=True)
    print(file, file.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
