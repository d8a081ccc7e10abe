"""What errors carry, and that it arrives in another process."""

from __future__ import annotations

import pickle

import pytest

from dualsight.errors import FetchError, ImageError, ImageTooLarge, UnreadableImage, UnsupportedImage


@pytest.mark.parametrize("kind", [ImageError, UnreadableImage, UnsupportedImage, ImageTooLarge, FetchError])
def test_an_image_error_is_the_same_in_another_process(kind: type[ImageError]) -> None:
    error = kind("is broken", source="a.dcm", frame=3, hint="mend it")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is kind
    assert (str(again), again.problem, again.source, again.frame, again.hint) == (
        "a.dcm, frame 3: is broken",
        "is broken",
        "a.dcm",
        3,
        "mend it",
    )
