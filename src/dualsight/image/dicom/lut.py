"""How a DICOM header maps its stored values: tables and windows read from it (PS3.3 C.11.1, C.11.2, C.7.6.3.1.5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dualsight.errors import UnsupportedImage
from dualsight.image.colour import expand_segments
from dualsight.image.dicom.meta import functional_group
from dualsight.image.reading import Window
from dualsight.image.view import View, linear_view, named_view
from dualsight.image.voi import (
    Lut,
    Stored,
    Values,
    look_up,
    rescale,
    window_linear,
    window_linear_exact,
    window_sigmoid,
)

_FUNCTIONS = {"LINEAR": window_linear, "LINEAR_EXACT": window_linear_exact, "SIGMOID": window_sigmoid}


def modality_transform(header: Dataset, frame_index: int) -> Callable[[Stored], Values]:
    """Stored → modality values: the header's table, else slope and intercept, else unchanged (PS3.3 C.11.1).

    Raises ValueError if slope or intercept is no number.
    """
    group = functional_group(header, frame_index, "PixelValueTransformationSequence") or header
    tables = group.get("ModalityLUTSequence")
    if tables:
        lut = read_lut(tables[0], header)
        return lambda stored: look_up(stored, lut).astype(np.float64)
    slope, intercept = group.get("RescaleSlope"), group.get("RescaleIntercept")
    if slope is None or intercept is None:
        return partial(rescale, slope=1.0, intercept=0.0)
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise ValueError("slope or intercept is no number")
    return partial(rescale, slope=float(slope), intercept=float(intercept))


def without_padding(levels: Stored, header: Dataset) -> Stored:
    """The values [n] that count for the full range: finite, and no padding (PS3.3 C.7.5.1.1.2)."""
    counts = np.isfinite(levels)
    padding = header.get("PixelPaddingValue")
    if padding is not None:
        limit = header.get("PixelPaddingRangeLimit")
        low, high = sorted((int(padding), int(padding if limit is None else limit)))
        counts &= (levels < low) | (levels > high)
    return levels[counts]


def choose_view(header: Dataset, frame_index: int, window: Window, source: str) -> View | None:
    """The view that `window` asks for; None means the full range of the values.

    Raises UnsupportedImage for a window that this picture does not have, or a name that is unknown.
    """
    if not isinstance(window, str):
        return linear_view("chosen", *window, source=source)
    if window in ("auto", "dicom"):
        view = _header_view(header, frame_index, source)
        if view is None and window == "dicom":
            raise UnsupportedImage("its header has no window", source=source, hint='window="auto" shows the full range')
        return view
    if header.get("Modality") != "CT":
        problem = f'the window "{window}" is in Hounsfield units, and this is no CT'
        raise UnsupportedImage(problem, source=source, hint='use window="auto", or (centre, width)')
    return named_view(window, source=source)


def _header_view(header: Dataset, frame_index: int, source: str) -> View | None:
    """The header's first VOI LUT, else its first window (PS3.3 C.11.2); None if it has neither, or only a void one."""
    group = functional_group(header, frame_index, "FrameVOILUTSequence") or header
    tables = group.get("VOILUTSequence")
    if tables and tables[0].get("LUTDescriptor") and tables[0].get("LUTData") is not None:
        lut = read_lut(tables[0], header)
        top = float(max((1 << lut.bits) - 1, lut.entries.max()))  # some entries have more bits than they should
        return View("header VOI LUT", lambda values: look_up(values, lut) / top)
    center, width = _number(group.get("WindowCenter")), _number(group.get("WindowWidth"))
    if center is None or width is None:
        return None
    name = str(group.get("VOILUTFunction") or "LINEAR").strip().upper()
    if name not in _FUNCTIONS:
        raise UnsupportedImage("its VOI LUT function is none that the standard defines", source=source)
    if not (math.isfinite(center) and math.isfinite(width) and (width >= 1 if name == "LINEAR" else width > 0)):
        return None
    shape = "" if name == "LINEAR" else f", {name.lower().replace('_', ' ')}"
    described = f"header window, centre {center:g}, width {width:g}{shape}"
    return View(described, partial(_FUNCTIONS[name], center=center, width=width))


def _number(value: Any) -> float | None:
    """The first of one or more numbers."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        value = next(iter(value), None)
    return None if value is None or value == "" else float(value)


def read_lut(item: Dataset, header: Dataset, channel: str = "") -> Lut:
    """A look-up table from its descriptor and data (PS3.3 C.11.1.1, C.11.2.1.1; C.7.6.3.1.5 for a palette's channel).

    channel: "RedPaletteColor" and the like; "" for a modality or VOI LUT.
    Raises ValueError if there are fewer entries than the descriptor promises.
    """
    count, first, bits = (int(v) for v in item[f"{channel}LookupTableDescriptor" if channel else "LUTDescriptor"].value)
    n_entries = count & 0xFFFF or 1 << 16
    if first > 0x7FFF and header.get("PixelRepresentation") == 1:
        first -= 1 << 16  # signed, read as unsigned
    if not 8 <= bits <= 16:
        raise ValueError("a table's entries have 8 to 16 bits")
    little_endian = bool(header.original_encoding[1])
    segmented = item.get(f"Segmented{channel}LookupTableData") if channel else None
    if segmented is not None:
        return Lut(first, expand_segments(_words(segmented, 1 if bits == 8 else 2, little_endian), n_entries), bits)
    data = item[f"{channel}LookupTableData" if channel else "LUTData"].value
    packed = isinstance(data, bytes) and len(data) < 2 * n_entries  # two entries to a word
    entries = _words(data, 1 if packed else 2, little_endian)[:n_entries]
    if len(entries) < n_entries:
        raise ValueError("fewer entries than the descriptor promises")
    return Lut(first, entries.astype(np.uint16), bits)


def _words(data: Any, n_bytes: int, little_endian: bool) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The unsigned numbers of a table's data, whichever VR it came in."""
    if isinstance(data, bytes):
        usable = data[: len(data) // n_bytes * n_bytes]
        return np.frombuffer(usable, f"{'<' if little_endian else '>'}u{n_bytes}").astype(f"u{n_bytes}")
    values = [data] if isinstance(data, int) else list(data)
    return np.array(values, np.int64).astype(f"u{n_bytes}")
