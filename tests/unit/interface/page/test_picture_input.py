from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from dualsight.errors import ConfigError, ImageTooLarge, UnreadableImage
from dualsight.image.frame import Frame, FrameMeta
from dualsight.image.limits import Limits
from dualsight.interface.page.picture_input import Chosen, Pictures, choose, figure
from dualsight.interface.page.uploads import Uploads

SAMPLES = Path(__file__).parents[4] / "samples/real"
HEART, HEAD = SAMPLES / "ultrasound-heart.dcm", SAMPLES / "ct-head.dcm"
Give = Callable[[Path], str]


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path, file_bytes=1 << 30, total_bytes=1 << 30)


@pytest.fixture
def give(uploads: Uploads) -> Give:
    async def whole(file: Path) -> AsyncIterator[bytes]:
        yield file.read_bytes()

    return lambda file: asyncio.run(uploads.receive(whole(file), file.name))


def _chosen(token: str, *, window: str = "auto", plane: str | None = None, number: int | None = None) -> Chosen:
    return Chosen(token=token, window=window, plane=plane, number=number)


def test_the_middle_frame_or_the_one_that_is_meant(uploads: Uploads, give: Give) -> None:
    pictures, token = Pictures(uploads, Limits()), give(HEART)
    assert pictures.frame(_chosen(token)).frame_index == 15
    assert [pictures.frame(_chosen(token, number=number)).frame_index for number in (1, 2, 30, 99)] == [0, 1, 29, 29]
    assert pictures.frame(_chosen(token)).source == "ultrasound-heart.dcm"
    assert choose(token, " lung ", "axial", 3.0) == _chosen(token, window="lung", plane="axial", number=3)


def test_windows(uploads: Uploads, give: Give) -> None:
    pictures, token = Pictures(uploads, Limits()), give(HEAD)
    assert pictures.reading(_chosen(token, window="40,80")).window == (40.0, 80.0)
    assert "bone" in (pictures.frame(_chosen(token, window="bone")).meta.window or "")
    for window in ("", "bones", "40;80", "40,0", "'><script>"):
        with pytest.raises(ConfigError, match="no window"):
            pictures.frame(_chosen(token, window=window))


def test_no_file_and_one_that_is_over_a_limit(uploads: Uploads, give: Give) -> None:
    with pytest.raises(UnreadableImage, match="no file yet"):
        Pictures(uploads, Limits()).frame(_chosen(""))
    with pytest.raises(ImageTooLarge, match=r"ct-head\.dcm"):
        Pictures(uploads, Limits(pixels=1000)).frame(_chosen(give(HEAD)))


def test_a_figure_says_what_it_shows() -> None:
    meta = FrameMeta(format="DICOM", modality="CT", window="lung", note="a <note>")
    html = figure(Frame(pixels=np.zeros((4, 6, 3), np.uint8), source="a<b>.dcm", frame_index=1, n_frames=9, meta=meta))
    assert 'alt="a&lt;b&gt;.dcm as it is shown, slice or frame 2 of 9"' in html
    assert "DICOM · CT · 6 × 4 pixels · slice or frame 2 of 9 · window: lung · a &lt;note&gt;" in html
