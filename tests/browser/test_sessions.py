"""Several visitors at once: no answer is mixed up, quick things do not wait for slow ones, memory has a bound."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

import dualsight
from browser.steps import SAMPLES, bars, field, give, picture, press
from server_process import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PICTURES = sorted((SAMPLES / "phantoms").glob("*.png"))[:5]


def test_five_at_once(visit: Callable[..., Page], server: Server, model: dualsight.Model) -> None:
    pages = [visit() for _ in PICTURES]
    sets = [[file.stem[6:], f"not {number}", "endoscopy colon"] for number, file in enumerate(PICTURES)]
    answers = [model.classify([file], names)[0] for file, names in zip(PICTURES, sets, strict=True)]
    for page, file, names in zip(pages, PICTURES, sets, strict=True):
        give(page, file)
        field(page, "Labels").fill("\n".join(names))
    for page in pages:
        picture(page).wait_for()
        press(page, "Classify")
    tops = []
    for page, answer in zip(pages, answers, strict=True):
        assert not isinstance(answer, dualsight.errors.ImageError)
        tops.append(answer.top)
        assert bars(page) == [(label, float(f"{100 * p:.1f}")) for label, p in answer.as_dict().items()]
    before = server.peak_mib()
    for page in pages:
        page.locator("ol.bars button").first.click()  # five heat maps, one after the other
    give(pages[0], PICTURES[1])
    expect(picture(pages[0])).to_contain_text(PICTURES[1].name)
    heats = [page.get_by_role("img", name=re.compile("^Heat map of")) for page in pages[1:]]
    assert not heats[-1].is_visible(), "a picture has waited for all heat maps"
    for heat, file, top in zip(heats, PICTURES[1:], tops[1:], strict=True):
        expect(heat).to_have_accessible_name(re.compile(f"^Heat map of {top} over {file.name}"))
    expect(pages[0].get_by_role("img", name=re.compile("^Heat map of"))).to_have_count(0)  # that of another picture
    assert server.peak_mib() - before < 600
