"""The site is built from docs/ without a warning, and a browser that reads it asks nobody but the disk."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path

import pytest
import yaml

import dualsight
from command_tree import page

ROOT = Path(__file__).parents[2]
ELSEWHERE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)
FETCHED = {"src", "srcset", "poster", "data", "action"}  # a link's href is followed by a reader, not by the browser
IN_STYLES = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""")
pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


class Asked(HTMLParser):
    """What a browser fetches for a page, without being told to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fetched = FETCHED | ({"href"} if tag == "link" else set())
        self.addresses += [value or "" for name, value in attrs if name in fetched]


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for html in pages:
        asked = Asked()
        asked.feed(html.read_text())
        assert asked.addresses
        assert [address for address in asked.addresses if ELSEWHERE.match(address)] == [], html.name
        assert IN_STYLES.search(html.read_text()) is None
    for style in site.rglob("*.css"):
        assert [address for address in IN_STYLES.findall(style.read_text()) if ELSEWHERE.match(address)] == []


def test_every_page_is_in_the_navigation() -> None:
    def named(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        inner = entry.values() if isinstance(entry, dict) else entry
        return [name for one in inner for name in named(one)]  # type: ignore[attr-defined]

    docs = ROOT / "docs"
    there = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    assert set(named(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])) == there


def test_what_newcomers_are_sent_to_is_there() -> None:
    """Files, and names that begin as classes and types do."""
    text = (ROOT / "docs/contributing.md").read_text()
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    paths = set(re.findall(r"`([\w/]+(?:\.py|/))`", text))
    assert len(paths) > 15
    homes = (ROOT, ROOT / "src/dualsight")
    missing = {path for path in paths if "NAME" not in path and not any((home / path).exists() for home in homes)}
    names = set(re.findall(r"`([A-Z]\w+)`", text))
    assert (missing - {"options.py"}, {name for name in names if not re.search(rf"\b{name}\b", source)}) == (
        set(),
        set(),
    )


def test_every_public_name_is_on_the_python_page(site: Path) -> None:
    """By its anchor, which is there only where the name was found in the source."""
    html = (site / "python.html").read_text()
    public = {f"dualsight.{name}" for name in dualsight.__all__} - {"dualsight.__version__", "dualsight.image"}
    public |= {f"dualsight.image.{name}" for name in dualsight.image.__all__ if name != "open"}
    public.add("dualsight.image.open.open")  # its module has the same name
    assert {name for name in public if f'id="{name}"' not in html} == set()


def test_every_dependency_is_listed_with_its_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {re.match(r"[\w.-]+", requirement)[0] for requirement in wanted}  # type: ignore[index]
    rows = re.findall(r"^\| (\S+) \| (.+) \|$", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)
    licences = {_normal(name): licence for name, licence in rows}
    assert {name for name in names if _normal(name) not in licences} == set(), "make licences"
    assert "UNKNOWN" not in licences.values()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_commands_are_written_down() -> None:
    assert (ROOT / "docs/commands.md").read_text() == page(), "docs/commands.md is not current: make commands"
