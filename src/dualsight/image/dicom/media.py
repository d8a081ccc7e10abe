"""A DICOM media directory (the file DICOMDIR, PS3.3 annex F, PS3.10 section 8) → the files that it lists."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dualsight.errors import UnreadableImage
from dualsight.image.limits import Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SOP_CLASS = b"1.2.840.10008.1.3.10"  # of a media directory (PS3.4 annex I.4)
_INACTIVE = 0x0000  # RecordInUseFlag of a record that was taken back (PS3.3 F.3.2.2)


def is_directory(head: bytes) -> bool:
    """Whether a DICOM file that begins so is a media directory."""
    return _SOP_CLASS in head


def listed_files(directory: Path, limits: Limits) -> Iterator[tuple[Path, bool]]:
    """Each file that the directory lists, once, in its order, and whether its path stays inside the media.

    Names are matched without regard to case where there is none as listed: mounted media are often lower-cased. A
    file that is not there comes under its listed name. Raises UnreadableImage if the directory is damaged.
    """
    root = os.path.realpath(directory.parent)
    folders: dict[Path, dict[str, str]] = {}  # what is in each, by name without case
    for parts in dict.fromkeys(_file_ids(directory, limits)):
        if not all(map(_is_name, parts)):
            yield Path(directory.parent, "/".join(parts).replace("\0", "")), False
            continue
        path = directory.parent
        for part in parts:
            path /= _as_stored(path, part, folders)
        # a link may lead elsewhere, or to itself, for which `resolve` raises
        yield path, Path(os.path.realpath(path)).is_relative_to(root)


def _file_ids(directory: Path, limits: Limits) -> list[tuple[str, ...]]:
    """The names that its records in use refer to, in its order."""
    from dualsight.image.dicom.file import open_dicom
    from dualsight.image.quiet import damage

    name = str(directory)
    with open_dicom(directory, name, limits) as file, damage(name, "the media directory is damaged"):
        records = list(file.header.get("DirectoryRecordSequence") or [])
        found = [_file_id(record) for record in records if record.get("RecordInUseFlag") != _INACTIVE]
    if not records:
        raise UnreadableImage("a media directory that lists nothing", source=name)
    return [file_id for file_id in found if file_id]


def _file_id(record: Dataset) -> tuple[str, ...]:
    """ReferencedFileID, one to eight components (PS3.10 8.2); some writers join them."""
    value: Any = record.get("ReferencedFileID")
    values = [value] if isinstance(value, str) else value or ()
    return tuple(part for text in values for part in str(text).replace("\\", "/").split("/"))


def _is_name(part: str) -> bool:
    return part not in ("", ".", "..") and not any(sign in part for sign in ":\0")


def _as_stored(folder: Path, part: str, folders: dict[Path, dict[str, str]]) -> str:
    """How `part` is written in `folder`; as it is if it is not there."""
    if folder not in folders:
        try:
            folders[folder] = {path.name.casefold(): path.name for path in folder.iterdir()}
        except OSError:
            folders[folder] = {}
    if os.path.exists(folder / part):  # noqa: PTH110 - False where the folder cannot be searched
        return part
    return folders[folder].get(part.casefold(), part)
