"""Pages of docs/ run as they stand, each in a folder of its own, and make the pictures that they show.

    DUALSIGHT_KEEP_PICTURES=1 pytest tests/e2e/test_guides.py

puts the pictures into docs/guides: after another demonstration model, or another page.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pydicom
import pytest
from PIL import Image

from dicomweb_stand_in import StandIn, Stored, forget_credentials, serving
from guide import pictures_of, run_page

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "docs/index.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
REFERENCE = [
    ROOT / f"docs/{name}.md"
    for name in (
        "adapters",
        "engines",
        "evaluation",
        "explain",
        "fine-tuning",
        "pictures",
        "python",
        "quality-control",
        "scale",
        "search",
    )
]
SHOWN_PACS = "dicomweb+https://pacs.example/dicom-web"
KEEP_PICTURES = "DUALSIGHT_KEEP_PICTURES" in os.environ
pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Iterator[None]:
    """With the samples; and one thread, which is the quickest for a model so small."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUALSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    yield
    plt.close("all")


@pytest.fixture
def pacs(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A server that holds the DICOM files of samples/real."""
    forget_credentials(monkeypatch)
    with serving(StandIn([_stored(file) for file in sorted((ROOT / "samples/real").glob("*.dcm"))])) as service:
        yield service


def _stored(file: Path) -> Stored:
    header = pydicom.dcmread(file, stop_before_pixels=True)
    return Stored(header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID, file.read_bytes())


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_runs_and_makes_its_pictures(page: Path, pacs: StandIn) -> None:
    run_page(page, {SHOWN_PACS: pacs.url})
    names = pictures_of(page)
    assert names
    for name in names:
        shown = page.parent / name
        if KEEP_PICTURES:
            shutil.copyfile(name, shown)
        with Image.open(name) as made, Image.open(shown) as there:
            assert made.size == there.size, f"{shown} is not what the page makes"
        assert shown.stat().st_size < 250_000


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_what_a_page_of_reference_shows_runs(page: Path) -> None:
    assert run_page(page)


def test_every_page_shows_only_pictures_that_are_there() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    missing = [(page.name, name) for page in pages for name in pictures_of(page) if not (page.parent / name).is_file()]
    assert missing == []
