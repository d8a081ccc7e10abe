"""What a request calls a picture → frames of the encoder's size. Runs in decoding threads; no path is ever opened.

base64, data URL or a file's bytes ──▶ bytes ──▶ frames ──standardise──▶ resized, uint8 [h, w, 3]
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from dualsight.errors import UnreadableImage
from dualsight.image.frame import Frame
from dualsight.image.open import read
from dualsight.image.prepare import Preprocessing, resize
from dualsight.image.reading import Reading, Window
from dualsight.image.unpack import unpack_base64
from dualsight.image.voi import CT_WINDOWS

Picture = str | bytes
"""base64 or a data URL, or a file's bytes."""

# auto, dicom, a CT window's name, or CENTRE,WIDTH with a width of at least 1
_FRACTION = r"(\.[0-9]{1,6})?"
WINDOW = rf"^({'|'.join(('auto', 'dicom', *CT_WINDOWS))}|-?[0-9]{{1,6}}{_FRACTION},[1-9][0-9]{{0,5}}{_FRACTION})$"
_DATA_URL = re.compile(r"data:[^,;]{0,100}(;[^,;]{0,100}){0,4};base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standardisation:
    """What Azure's deployment does to a picture before its own preprocessing, where it is asked to.

    size: side of the square that the picture is resized to. jpeg_quality: of the JPEG that it passes through.
    """

    size: int | None = None
    jpeg_quality: int | None = None


def resized_frames(
    picture: Picture, reading: Reading, preprocessing: Preprocessing, standard: Standardisation, *, source: str
) -> Iterator[Frame]:
    """The picture's frames, of the encoder's size. Raises ImageError."""
    for frame in frames_of(picture, reading, source=source):
        shown = _standardise(frame, standard)
        yield replace(shown, pixels=resize(shown.pixels, preprocessing, source=source))


def frames_of(picture: Picture, reading: Reading, *, source: str) -> Iterator[Frame]:
    """The picture's frames as they are shown. Raises ImageError."""
    content = from_base64(picture, source) if isinstance(picture, str) else picture
    yield from read(content, reading, source=source)


def one_frame(frames: Iterable[Frame], number: int | None, *, source: str) -> Frame:
    """The frame of that number, from 0, or the middle one. Raises ImageError."""
    for frame in frames:
        wanted = frame.n_frames // 2 if number is None else number
        if frame.frame_index >= wanted:
            return frame
        if wanted >= frame.n_frames:
            hint = f"it has {frame.n_frames:,}, from 0 to {frame.n_frames - 1}"
            raise UnreadableImage(f"no frame {wanted}", source=source, hint=hint)
    raise UnreadableImage("no such frame in it", source=source)


def from_base64(text: str, source: str) -> bytes:
    """The bytes of base64 (line breaks allowed, padding may be missing) or of a data URL. Raises UnreadableImage."""
    if text[:5].lower() == "data:":
        url = _DATA_URL.match(text)
        if url is None:
            raise UnreadableImage("a data URL that is not base64", source=source)
        text = text[url.end() :]
    data = unpack_base64(text)
    if data is None:
        hint = "no address is fetched and no path is opened: send the file's own bytes"
        raise UnreadableImage("neither base64 nor a data URL", source=source, hint=hint)
    return data


def read_window(text: str) -> Window:
    """How DICOM grey values are shown, of a text that fits `WINDOW`: a name, or (centre, width)."""
    if "," not in text:
        return text
    centre, width = text.split(",")
    return float(centre), float(width)


def _standardise(frame: Frame, standard: Standardisation) -> Frame:
    if standard == Standardisation():
        return frame
    image = Image.fromarray(frame.pixels)
    if standard.size is not None:
        image = image.resize((standard.size, standard.size), Image.Resampling.BICUBIC)
    if standard.jpeg_quality is not None:
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=standard.jpeg_quality)
        image = Image.open(packed, formats=("JPEG",)).convert("RGB")
    return replace(frame, pixels=np.asarray(image))
