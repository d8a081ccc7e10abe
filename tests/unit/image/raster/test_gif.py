from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dualsight.image.raster.gif import count_frames
from picture_files import saved

FOLDER = Path(__file__).parents[3] / "data" / "images"


def animation(n: int) -> bytes:
    """Frames with colour tables of their own, comments and a loop."""
    first, *others = [Image.effect_noise((9, 7), 40 + k).convert("P") for k in range(n)]
    return saved(first, "GIF", save_all=True, append_images=others, loop=0, comment=b"," * 600, duration=50)


ANIMATION = animation(5)


def test_frames_are_counted_and_no_further_than_asked() -> None:
    assert [count_frames(ANIMATION, most) for most in (0, 1, 4, 5, 6, 99)] == [0, 1, 4, 5, 5, 5]


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.gif")), ids=lambda path: path.name)
def test_pillow_counts_as_many(path: Path) -> None:
    with Image.open(path) as image:
        assert count_frames(path.read_bytes(), 999) == image.n_frames


def test_a_cut_file_has_the_frames_that_are_left() -> None:
    counts = [count_frames(ANIMATION[:size], 99) for size in range(len(ANIMATION) + 1)]
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == 5


def test_what_is_behind_the_end_does_not_count() -> None:
    assert count_frames(ANIMATION + ANIMATION, 99) == 5


@given(st.binary(max_size=60))
def test_no_bytes_crash_it(data: bytes) -> None:
    assert 0 <= count_frames(b"GIF89a" + data, 3) <= 3
