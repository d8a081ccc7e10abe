"""The picture of a row, small: its file is opened again, since an index holds no pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from dualsight.errors import ImageError
from dualsight.image.archive import members
from dualsight.image.limits import Limits
from dualsight.image.object_store import Object, is_address
from dualsight.image.open import read
from dualsight.store.settings import read_reading


def thumbnail(row: Mapping[str, Any], side: int) -> Image.Image | None:
    """The picture of a row as the encoder saw it, RGB, fitted into a square; of several frames one in the middle.

    None where it cannot be had: a text, a file that has gone or changed its frames, a slice of a DICOM series (which
    is in no file of its own), or a row whose file's name is hashed.
    """
    if row["path"] is None:
        return None
    try:
        content = _content(row["path"], row["source"])
        return None if content is None else _frame(content, row, side)
    except (ImageError, OSError):
        return None


def _content(place: str, source: str) -> Path | bytes | None:
    """The file, the member of an archive that `source` names, or an object, which is fetched."""
    if is_address(place):
        return Object(address=place, max_bytes=Limits().file_bytes)()
    path = Path(place)
    if not path.is_file() or path.suffix.lower() != ".zip":
        return path
    for member, _ in members(path, Limits()):
        if source.endswith(member.name.removeprefix(str(path))):
            return member()
    return None


def _frame(content: Path | bytes, row: Mapping[str, Any], side: int) -> Image.Image | None:
    wanted = row["frame_index"]
    for frame in read(content, read_reading(row["settings"]), source=row["source"]):
        if wanted is not None and frame.n_frames != row["n_frames"]:
            return None
        middle = frame.n_frames // 2 if wanted is None else wanted
        if frame.frame_index >= middle:
            picture = Image.fromarray(frame.pixels)
            picture.thumbnail((side, side), Image.Resampling.BOX)
            return picture
    return None
