"""DICOM → frames, as a radiologist's viewer would show them.

Stored values → modality LUT → VOI LUT or window → polarity → RGB. Overlays, presentation states and supplemental
palettes are left off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from dualsight.errors import ImageError, UnreadableImage, UnsupportedImage
from dualsight.image.aspect import squared
from dualsight.image.colour import palette_to_rgb, to_eight_bits, ybr_full_to_rgb
from dualsight.image.dicom.file import DicomFile, open_dicom
from dualsight.image.dicom.frames import StoredFrame, iter_stored, read_pixel_module
from dualsight.image.dicom.lut import choose_view, modality_transform, read_lut, without_padding
from dualsight.image.dicom.meta import describe, sop_class_name
from dualsight.image.frame import Frame, FrameMeta
from dualsight.image.limits import Limits
from dualsight.image.quiet import damage
from dualsight.image.reading import Window
from dualsight.image.view import full_range_view
from dualsight.image.voi import Grey, distinct, per_value, to_grey, value_range


def decode_dicom(
    data: bytes | Path,
    source: str,
    *,
    window: Window = "auto",
    square_pixels: bool = False,
    limits: Limits | None = None,
) -> Iterator[Frame]:
    """The frames of a DICOM object, each decoded when it is asked for.

    window: for greyscale. "auto" takes the header's first VOI LUT or window, or else the full range of the frame's
        values; "dicom" insists on the header; (centre, width) are in modality values, HU for CT; a name is one of
        `voi.CT_WINDOWS`, for CT only. Pixel padding (PS3.3 C.7.5.1.1.2) and what is not finite do not count for the
        full range. Colour has no window.
    square_pixels: resample, so that pixels with another aspect ratio than 1:1 become square.

    A frame of a multi-frame object whose values are all equal is black without a window, and its note says so.
    Raises UnsupportedImage if the object has no pixels (the message names its SOP class), an encoding without decoder
    or no such window; UnreadableImage if it is damaged, or constant without a window; ImageTooLarge. What comes before
    a damaged frame has then been yielded.
    """
    limits = limits or Limits()
    with open_dicom(data, source, limits) as file:
        if file.pixels is None:
            raise _no_pixels(file, source)
        module = read_pixel_module(file, file.pixels, source, limits)
        frames = iter_stored(file, file.pixels, module, source)
        for index in range(module.n_frames):
            stored = next(frames)
            with damage(source, "the header's description of its values is damaged", index):
                shown = _show(stored, file.header, index, module.n_frames, window, source)
                meta = describe(file.header, index)
                pixels = _squared(shown.pixels, file.header, meta, limits, source) if square_pixels else shown.pixels
            notes = [note for note in (module.note, shown.note) if note]
            meta = replace(
                meta,
                rows=module.rows,
                columns=module.columns,
                bits=module.bits_stored,
                window=shown.window,
                note="; ".join(notes) or None,
            )
            yield Frame(pixels=pixels, source=source, frame_index=index, n_frames=module.n_frames, meta=meta)


def _no_pixels(file: DicomFile, source: str) -> ImageError:
    with damage(source, "the DICOM header is damaged"):
        if not len(file.header):
            return UnsupportedImage("no pixels: an empty DICOM data set", source=source)
        if "Rows" in file.header:
            return UnreadableImage("truncated or damaged: its header describes pixels, and none follow", source=source)
        return UnsupportedImage(f"no pixels: {sop_class_name(file.header)}", source=source)


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """uint8 [H, W, 3], the window used in words (None for colour), and what a reader should know."""

    pixels: Grey
    window: str | None = None
    note: str | None = None


def _show(frame: StoredFrame, header: Dataset, index: int, n_frames: int, window: Window, source: str) -> _Shown:
    match frame.photometric_interpretation:
        case "MONOCHROME1" | "MONOCHROME2":
            return _show_grey(frame, header, index, n_frames, window, source)
        case "PALETTE COLOR":
            channels = (read_lut(header, header, f"{colour}PaletteColor") for colour in ("Red", "Green", "Blue"))
            return _Shown(palette_to_rgb(frame.values, *channels))
        case "YBR_FULL" | "YBR_FULL_422":
            return _Shown(to_eight_bits(ybr_full_to_rgb(frame.values, frame.bits), frame.bits))
        case _:  # RGB, or what JPEG 2000's decoders have made RGB
            return _Shown(to_eight_bits(frame.values, frame.bits))


def _show_grey(frame: StoredFrame, header: Dataset, index: int, n_frames: int, window: Window, source: str) -> _Shown:
    to_values = modality_transform(header, index)
    view = choose_view(header, index, window, source)
    note = None
    if view is None:
        levels = without_padding(distinct(frame.values), header)
        if not levels.size:
            raise UnreadableImage("no pixel that is a number and no padding", source=source, frame=index)
        low, high = value_range(to_values, levels)
        if not np.isfinite(high - low):
            raise UnreadableImage("its values are beyond all numbers", source=source, frame=index)
        if low == high:
            note = "every pixel has the same value"
            if n_frames == 1:
                raise UnreadableImage(note, source=source, hint="choose a window to see it all the same")
        view = full_range_view(low, high)
    invert = frame.photometric_interpretation == "MONOCHROME1"
    display = view.display
    grey = per_value(lambda stored: to_grey(display(to_values(stored)), invert=invert), frame.values)
    return _Shown(np.repeat(grey[:, :, None], 3, axis=2), view.name, note)


def _squared(pixels: Grey, header: Dataset, meta: FrameMeta, limits: Limits, source: str) -> Grey:
    """`pixels` [H, W, 3] made square by their spacing, else by Pixel Aspect Ratio (PS3.3 C.7.6.3.1.7)."""
    height, width = meta.spacing_mm or header.get("PixelAspectRatio") or (1, 1)
    return squared(pixels, float(height), float(width), limits, source)
