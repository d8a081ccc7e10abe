"""One way to show values, with the words that name it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dualsight.errors import UnsupportedImage
from dualsight.image.voi import CT_WINDOWS, Values, full_range, window_linear


@dataclass(frozen=True, slots=True)
class View:
    """One way to show modality values: `display` maps them to 0…1, `name` says in words which window it is."""

    name: str
    display: Callable[[Values], Values]


def named_view(window: str, *, source: str) -> View:
    """The CT window of that name. Raises UnsupportedImage if there is none."""
    if window not in CT_WINDOWS:
        names = ", ".join(["auto", "dicom", *CT_WINDOWS])
        raise UnsupportedImage(f'no window is named "{window}"', source=source, hint=f"known are {names}")
    return linear_view(window, *CT_WINDOWS[window], source=source)


def linear_view(name: str, center: float, width: float, *, source: str) -> View:
    """A LINEAR window. Raises UnsupportedImage for a width under 1 or what is no number."""
    if not (math.isfinite(center) and math.isfinite(width) and width >= 1):
        raise UnsupportedImage("a window's width must be at least 1 and its centre a number", source=source)
    name = f"{name} window, centre {center:g}, width {width:g}"
    return View(name, partial(window_linear, center=float(center), width=float(width)))


def full_range_view(low: float, high: float) -> View:
    """All values from `low`, black, to `high`, white."""
    return View(f"full range, {low:g} to {high:g}", partial(full_range, low=low, high=high))
