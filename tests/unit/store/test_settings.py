"""Settings are part of a row's identity: the same choices are the same text, and are read back from it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dualsight.errors import ConfigError
from dualsight.image.reading import Reading
from dualsight.store.settings import TEXT_SETTINGS, Settings, read_reading


def test_what_is_not_chosen_is_not_said() -> None:
    assert json.loads(Settings().as_json()) == {"per": "image", "pool": "mean", "window": "auto", "tile_px": 480}
    assert json.loads(Settings(per="frame").as_json()) == {"per": "frame", "window": "auto", "tile_px": 480}
    assert Settings(batch_size=1).as_json() == Settings().as_json()  # changes no vector
    assert json.loads(TEXT_SETTINGS) == {"per": "text"}


@pytest.mark.parametrize(
    "reading",
    [
        Reading(),
        Reading(window=(40.0, 400.0), square_pixels=True, plane="coronal", step_mm=2.5, tile_px=224, mpp=0.5),
        Reading(window="lung"),
    ],
)
def test_a_reading_is_read_back(reading: Reading) -> None:
    assert read_reading(Settings(per="volume", pool="max", reading=reading).as_json()) == reading


@pytest.mark.parametrize(
    ("per", "grouped_by"),
    [("image", None), ("frame", None), ("series", "series"), ("study", "study"), ("volume", "series")],
)
def test_what_is_grouped(per: Any, grouped_by: str | None) -> None:
    assert Settings(per=per).grouped_by == grouped_by


def test_words_that_mean_nothing_here() -> None:
    with pytest.raises(ConfigError, match=r"^per is 'patient'$") as caught:
        Settings(per="patient")  # type: ignore[arg-type]  # a user's mistake
    assert caught.value.hint == "one of: image, frame, series, study, volume"
    with pytest.raises(ConfigError, match="pool is 'sum'"):
        Settings(pool="sum")  # type: ignore[arg-type]  # a user's mistake
