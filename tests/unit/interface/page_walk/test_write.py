from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from dualsight.checkpoint.config import read_config
from dualsight.errors import OutputError
from dualsight.interface.page_walk.write import html_page, write_html
from dualsight.task.inspect.report import Report, report_config, report_model
from dualsight.task.model import DEMO_NOTICE, load
from golden import Golden
from html_page import Page

TEXTS = ["x-ray chest pneumonia", "<script>alert('MRI')</script> & brain"]


@pytest.fixture(scope="module", params=["davit", "coswin"])
def report(
    request: pytest.FixtureRequest, recipe_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Report:
    file = tmp_path_factory.mktemp("pictures") / "a<b.png"
    Image.fromarray(Golden("davit").images()[0]).save(file)
    return report_model(load(recipe_folder(request.param)), image=file, texts=TEXTS)


def test_page_is_whole_and_needs_nothing_from_outside(report: Report) -> None:
    html = html_page(report)
    page = Page(html)
    assert all(source.startswith("data:image/") for source in page.values("img", "src"))
    assert all(link.startswith("#") for link in page.values("a", "href"))
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert "url(" not in html
    assert "@import" not in html


def test_links_lead_to_sections(report: Report) -> None:
    page = Page(html_page(report))
    names = page.values("section", "id")
    assert len(set(names)) == len(names)
    assert {link.removeprefix("#") for link in page.values("a", "href")} <= set(names)


def test_page_can_be_read_by_ear(report: Report) -> None:
    page = Page(html_page(report))
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 2 + 2 * len(report.table.image.stages) + 2 + len(TEXTS) + 3
    assert all(attributes["alt"] for attributes in pictures)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert page.values("html", "lang") == ["en"]


def test_page_shows_the_numbers_of_the_walk(report: Report) -> None:
    html = html_page(report)
    assert report.image is not None
    for stage in report.image.stages:
        assert f"{stage.grid[0]}×{stage.grid[1]} tokens" in html
        assert "×".join(map(str, stage.tokens.shape)) in html
    for match in report.matches:
        assert f"{match.similarity:.4f}" in html
        assert f"{match.softmax:.1%}" in html
    for walk in report.texts:
        assert f"Position {walk.pooled} stands for the text" in html
        assert all(f"id {number}" in html for number in walk.ids[: walk.length])
    assert f"{len(report.image.features)} numbers, standard deviation" in html


def test_nothing_from_outside_is_markup(report: Report) -> None:
    html = html_page(report)
    assert "<script" not in html
    assert "&lt;script&gt;alert" in html
    assert "a&lt;b.png" in html


def test_page_says_what_ran_and_what_it_is_not(report: Report) -> None:
    assert "2024.09.27" in html_page(report)
    assert "no number on this page is a diagnosis" in html_page(report)
    assert DEMO_NOTICE[1:] in html_page(replace(report, notice=DEMO_NOTICE))


def test_page_without_texts(report: Report) -> None:
    html = html_page(replace(report, texts=(), matches=()))
    Page(html)
    assert "No text was given" in html


def test_page_needs_a_picture() -> None:
    config = report_config("small", read_config(Golden("davit").config).dual, (96, 96))
    with pytest.raises(ValueError, match="picture"):
        html_page(config)


def test_page_is_written_whole(report: Report, tmp_path: Path) -> None:
    write_html(report, tmp_path / "walk.html")
    assert (tmp_path / "walk.html").read_text(encoding="utf-8") == html_page(report)
    assert [file.name for file in tmp_path.iterdir()] == ["walk.html"]
    with pytest.raises(OutputError, match=r"walk\.html"):
        write_html(report, tmp_path / "nowhere" / "walk.html")
