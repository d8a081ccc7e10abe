"""What the page is for, as a visitor does it, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import dualsight
from browser.chromium import Recorder
from browser.steps import (
    DATA,
    NARROW,
    SAMPLES,
    TABS,
    WIDE,
    bars,
    drop,
    field,
    give,
    go_to,
    picture,
    press,
    serious_faults,
    unfold,
)
from server_process import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
Visit = Callable[..., Page]

EFFUSION = SAMPLES / "phantoms/00000-x-ray-chest.png"
HEAD = SAMPLES / "real/ct-head.dcm"
HEART = SAMPLES / "real/ultrasound-heart.dcm"
BRAIN = DATA / "nibabel/anatomical.nii"


def test_a_png_is_classified_and_explained(visit: Visit, model: dualsight.Model) -> None:
    page = visit()
    drop(page, EFFUSION)
    expect(picture(page)).to_contain_text("00000-x-ray-chest.png PNG · 256 × 256 pixels")
    field(page, "Labels").fill("pleural effusion\nno finding\npneumothorax")
    press(page, "Classify")
    (wanted,) = model.classify([EFFUSION], ["pleural effusion", "no finding", "pneumothorax"])
    assert not isinstance(wanted, dualsight.errors.ImageError)
    assert bars(page) == [(label, float(f"{100 * p:.1f}")) for label, p in wanted.as_dict().items()]
    page.get_by_role("button", name="Why pleural effusion").click()
    heat = page.get_by_role("img", name=re.compile("^Heat map of pleural effusion over 00000"))
    expect(heat).to_be_visible()
    expect(picture(page, 1)).to_contain_text("It shows what moves this model’s answer, not what is there")
    give(page, HEAD)  # an answer must not stand beside another picture
    expect(heat).to_be_hidden()
    expect(page.locator("ol.bars")).to_be_hidden()


def test_a_dicom_of_16_bits_has_windows(visit: Visit) -> None:
    page = visit()
    give(page, HEAD)
    expect(picture(page)).to_contain_text("DICOM · CT · HEAD · 512 × 512 pixels · window: header window")
    before = picture(page).locator("img").get_attribute("src")
    window = page.get_by_label("Window")
    window.fill("bone")
    window.press("Enter")
    expect(picture(page)).to_contain_text("window: bone")
    assert picture(page).locator("img").get_attribute("src") != before
    window.fill("40,80")
    window.press("Enter")
    expect(picture(page)).to_contain_text("centre 40, width 80")
    window.fill("nonsense")
    window.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="no window nonsense")).to_be_visible()


def test_slices_of_a_volume(visit: Visit) -> None:
    page = visit()
    give(page, BRAIN)
    expect(picture(page)).to_contain_text("NIfTI · axial")
    slider = page.get_by_role("slider", name=re.compile("Slice"))
    n_axial = int(slider.get_attribute("max") or 0)
    expect(picture(page)).to_contain_text(f"slice or frame {n_axial // 2 + 1} of {n_axial}")
    slider.focus()
    slider.press("ArrowRight")
    expect(picture(page)).to_contain_text(f"slice or frame {n_axial // 2 + 2} of {n_axial}")
    page.get_by_role("radio", name="sagittal").check()
    expect(picture(page)).to_contain_text("NIfTI · sagittal")
    press(page, "Classify")
    one = bars(page)
    page.get_by_label("All slices or frames together").check()
    press(page, "Classify")
    expect(page.get_by_text(re.compile("frames as one picture"))).to_be_visible()
    assert bars(page) != one


def test_what_cannot_be_read_is_said_where_it_was_dropped(visit: Visit, server: Server, tmp_path: Path) -> None:
    page = visit()
    press(page, "Classify")
    expect(page.get_by_role("alert").filter(has_text="the picture: no file yet")).to_be_visible()
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(HEAD.read_bytes()[:3000])
    give(page, broken)
    expect(page.get_by_role("alert").filter(has_text=re.compile("^broken.dcm: "))).to_be_visible()
    huge = tmp_path / "huge.nii"
    with huge.open("wb") as file:
        file.truncate(300_000_000)
    before = server.peak_mib()
    give(page, huge)
    told = page.get_by_role("alert").filter(has_text="huge.nii has 300 MB. This page takes files of up to 67.1 MB.")
    expect(told).to_be_visible()
    assert server.peak_mib() - before < 50
    give(page, EFFUSION)
    expect(told).to_be_hidden()
    expect(picture(page)).to_be_visible()
    field(page, "Labels").fill("a\na")
    press(page, "Classify")
    expect(page.get_by_role("alert").filter(has_text="label 'a' comes twice")).to_be_visible()
    text = page.locator("body").inner_text()
    assert "Traceback" not in text and "dualsight-page" not in text


def test_label_sets_of_ones_own_outlive_a_visit(visit: Visit) -> None:
    page = visit()
    unfold(page, "Prompts, and sets of your own")
    field(page, "Labels").fill("mass\nno mass")
    field(page, "Save labels").fill("my own")
    press(page, "Save the set")
    expect(page.get_by_label("Label set")).to_have_value("my own")
    page.get_by_label("Label set").click()
    page.get_by_role("option", name="ct abdomen").click()
    expect(field(page, "Labels")).to_have_value(re.compile("^.*liver lesion", re.DOTALL))
    page.reload()
    page.get_by_label("Label set").click()
    page.get_by_role("option", name="my own").click()
    expect(field(page, "Labels")).to_have_value("mass\nno mass")
    unfold(page, "Prompts, and sets of your own")
    press(page, "Delete the chosen set")
    page.get_by_label("Label set").click()
    expect(page.get_by_role("option", name="ct abdomen")).to_be_visible()
    expect(page.get_by_role("option", name="my own")).to_have_count(0)


def test_thresholds(visit: Visit) -> None:
    page = visit()
    give(page, EFFUSION)
    picture(page).wait_for()
    field(page, "Labels").fill("pleural effusion\nmelanoma")
    page.get_by_label("Each label on its own").check()
    unfold(page, "Thresholds")
    level = page.get_by_role("slider", name=re.compile("Above from"))
    expect(level).to_have_value("0.5")
    number = page.get_by_role("spinbutton", name=re.compile("Above from"))
    for _ in range(
        5
    ):  # once in a hundred runs Gradio loses a number that is typed as its part unfolds: why is not known
        number.fill("1")
        page.keyboard.press("Tab")
        with suppress(AssertionError):
            expect(level).to_have_value("1", timeout=5_000)
            break
    expect(level).to_have_value("1")
    press(page, "Classify")
    bars(page)
    expect(page.locator("ol.bars .side")).to_have_text(["below", "below"])
    give(page, {"name": "thresholds.json", "mimeType": "application/json", "buffer": b"{}"}, place=1)
    expect(page.get_by_role("alert").filter(has_text="thresholds.json: no thresholds of version 1")).to_be_visible()


def test_two_pictures_and_texts_are_compared(visit: Visit, model: dualsight.Model) -> None:
    page = visit()
    go_to(page, "Compare")
    give(page, EFFUSION)
    give(page, SAMPLES / "real/retina.jpg", place=1)
    expect(picture(page, 1)).to_contain_text("retina.jpg")
    field(page, "Texts").fill("x-ray chest")
    press(page, "Compare")
    page.locator("table:visible").wait_for()
    cells = [row.locator("td").all_inner_texts() for row in page.locator("table:visible tbody tr").all()]
    files = [EFFUSION, SAMPLES / "real/retina.jpg"]
    wanted = [*model.similarity(files), *model.similarity(files, ["x-ray chest"]).T]
    assert cells == [[f"{value:+.3f}" for value in row] for row in wanted]


def test_an_index_is_searched_and_a_hit_is_the_next_query(visit: Visit) -> None:
    page = visit()
    go_to(page, "Search")
    field(page, "In words").fill("fundus retina")
    field(page, "Only where").fill("source like '%phantoms%'")
    press(page, "Search")
    hits = page.locator("ol.hits li")
    expect(hits).to_have_count(10)
    expect(hits.first).to_contain_text("00006-fundus-retina.png")
    field(page, "Only where").fill("")
    hits.first.get_by_role("button", name=re.compile("^More like this")).click()
    expect(page.get_by_role("heading", name=re.compile("^like .*00006-fundus-retina.png$"))).to_be_visible()
    expect(hits).to_have_count(12)
    expect(hits.first).to_contain_text("1.000")
    field(page, "In words").fill("")
    give(page, HEART)
    picture(page).wait_for()
    press(page, "Search")
    expect(hits.first).to_contain_text("ultrasound-heart.dcm")
    for where, problem in (("rows >", "filter, character"), ("path like '/home%'", "no column path")):
        field(page, "Only where").fill(where)
        press(page, "Search")
        expect(page.get_by_role("alert").filter(has_text=problem)).to_be_visible()


def test_a_picture_is_walked_through_the_model(visit: Visit) -> None:
    page = visit()
    go_to(page, "Look inside")
    give(page, EFFUSION)
    picture(page).wait_for()
    field(page, "Texts").fill("x-ray chest\nmri brain")
    press(page, "Walk through the model")
    for heading in ("A picture becomes pixels", "Words become tokens", "Where picture and words meet"):
        expect(page.get_by_role("heading", name=re.compile(heading))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("tokens of stage 4"))).to_have_count(2)
    unfold(page, "Attention of a token")
    press(page, "Show what it looks at")
    expect(page.get_by_role("img", name=re.compile("^Attention in 4 stages"))).to_be_visible()


def test_it_always_says_what_runs_and_that_it_is_no_diagnosis(visit: Visit, model: dualsight.Model) -> None:
    page = visit(NARROW)
    for tab in TABS:
        go_to(page, tab)
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        note = page.get_by_role("note").first
        expect(note).to_be_in_viewport()
        expect(note).to_contain_text(f"demo {model.fingerprint[:12]} is running: {model.notice}.")
    expect(page.get_by_text(model.fingerprint)).to_be_visible()
    expect(page.get_by_role("heading", name="dualsight demonstration model")).to_be_visible()


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit()
    give(page, EFFUSION)  # the system's own dialogue is beyond a page
    picture(page).wait_for()
    page.locator(".drop input").first.focus()
    _tab_to(page, "Classify")
    page.keyboard.press("Enter")
    bars(page)
    _tab_to(page, "Why")
    page.keyboard.press("Space")
    expect(page.get_by_role("img", name=re.compile("^Heat map of"))).to_be_visible()
    page.get_by_role("tab", name="Classify").focus()
    _tab_to(page, "Compare")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")


def _tab_to(page: Page, words: str) -> None:
    """Moves the focus on, to what begins with these words and is seen to have it."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText ?? ''").startswith(words):
            assert page.evaluate("document.activeElement.matches(':focus-visible')")
            return
    raise AssertionError(f"the keyboard does not come to {words}")


@pytest.mark.parametrize(
    ("size", "dark"), [(WIDE, False), (NARROW, False), (WIDE, True)], ids=["wide", "narrow", "dark"]
)
def test_nothing_serious_for_those_who_do_not_see_it(visit: Visit, size: tuple[int, int], dark: bool) -> None:
    page = visit(size, dark=dark)
    give(page, HEAD)
    picture(page).wait_for()
    unfold(page, "Thresholds")
    unfold(page, "Prompts, and sets of your own")
    press(page, "Classify")
    page.locator("ol.bars button").first.click()
    page.locator("img.scale").wait_for()
    faults = serious_faults(page)
    for tab, button, answer in (
        ("Compare", "Compare", "[role=alert]"),
        ("Search", "Search", "[role=alert]"),
        ("Look inside", "Walk through the model", "[role=alert]"),
    ):
        go_to(page, tab)
        press(page, button)
        page.locator(f".problem{answer}:visible").first.wait_for()
        faults += serious_faults(page)
    field(page, "Texts").fill("a text")
    give(page, EFFUSION)
    picture(page).wait_for()
    press(page, "Walk through the model")
    page.locator("#tables:visible").wait_for()
    faults += serious_faults(page)
    go_to(page, "Model")
    page.locator("#made-of:visible").wait_for()
    faults += serious_faults(page)
    assert not faults, "\n".join(faults)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_work_that_takes_a_while_shows_that_it_runs(visit: Visit) -> None:
    page = visit()
    give(page, EFFUSION)
    picture(page).wait_for()
    press(page, "Classify")
    page.locator("ol.bars button").first.click()
    expect(page.get_by_text(re.compile(r"processing \|? ?\d"))).to_be_visible()
    page.locator("img.scale").wait_for()


def test_no_request_has_left_the_machine(visit: Visit, recorder: Recorder) -> None:
    page = visit()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.reload()
    page.locator(".drop").first.wait_for()
    page.wait_for_load_state("networkidle")
    assert len(seen) > 20 and not [url for url in seen if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    ask = "fetch('http://elsewhere.example/', {mode: 'no-cors'}).catch(() => 'refused')"
    assert page.evaluate(ask) == "refused"  # by the page's policy
    assert recorder.asked == []  # so far; the fixture asks again at the end
    page.context.new_page().evaluate(ask)  # where there is no policy, the recorder sees it
    assert recorder.asked == ["GET http://elsewhere.example/ HTTP/1.1"]
    recorder.asked.clear()
