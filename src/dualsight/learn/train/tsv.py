"""MI2's pairs as two tables: pictures, which may be gigabytes, and texts. Both are read once; pictures stay on disk.

images.tsv   key ⇥ base64 of a picture file
texts.tsv    key ⇥ {"class_id": 3, "class_name": "pneumonia", "source": …, "task": "classification"}
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dualsight.errors import UnreadableImage


@dataclass(frozen=True, slots=True)
class TsvPicture:
    """Where a picture lies in its table."""

    file: Path
    offset: int  # of its base64, in bytes

    def read(self, source: str) -> bytes:
        """The picture file's bytes. Raises UnreadableImage if they are no base64, or the table cannot be read."""
        try:
            with self.file.open("rb") as file:
                file.seek(self.offset)
                line = file.readline().rstrip(b"\r\n")
        except OSError as error:
            raise UnreadableImage(f"cannot be read ({error.strerror or error})", source=source) from error
        try:
            return base64.b64decode(line, validate=True)
        except binascii.Error as error:
            raise UnreadableImage(f"not base64 ({error})", source=source) from None


@dataclass(frozen=True, slots=True)
class TsvPair:
    """A picture and the name of its class."""

    place: str  # file and line, for messages
    picture: TsvPicture
    class_name: str


def read_tables(images: Path, texts: Path) -> tuple[list[TsvPair], list[str]]:
    """The pairs in the order of the pictures, and every problem found: broken lines, keys without their other half,
    a class of two names.
    """
    problems: list[str] = []
    names = _class_names(texts, problems)
    pairs: list[TsvPair] = []
    seen: set[str] = set()
    for number, key, offset, picture in _lines(images, problems):
        place = f"{images}, line {number}"
        if key in seen:
            problems.append(f"{place}: the key {key!r} comes twice")
        elif key not in names:
            problems.append(f"{place}: the key {key!r} has no text in {texts}")
        elif not picture:
            problems.append(f"{place}: no picture")
        else:
            pairs.append(TsvPair(place, TsvPicture(images, offset), names[key]))
        seen.add(key)
    problems += [f"{texts}: the key {key!r} has no picture in {images}" for key in names if key not in seen]
    return pairs, problems


def _class_names(texts: Path, problems: list[str]) -> dict[str, str]:
    """Key → class name."""
    names: dict[str, str] = {}
    ids: dict[object, str] = {}
    for number, key, _, text in _lines(texts, problems):
        place = f"{texts}, line {number}"
        problem = f"the key {key!r} comes twice" if key in names else ""
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row, problem = {}, "not JSON"
        name = row.get("class_name") if isinstance(row, dict) else None
        if not problem and not (isinstance(name, str) and name.strip()):
            problem = "no class_name"
        if not problem and row.get("task", "classification") != "classification":
            problem = f"the task {row['task']!r} is not classification"
        if not problem and "class_id" in row and ids.setdefault(str(row["class_id"]), str(name)) != name:
            problem = f"class {row['class_id']} is called {name!r} here, and {ids[str(row['class_id'])]!r} before"
        if problem:
            problems.append(f"{place}: {problem}")
        names.setdefault(key, str(name))
    return names


def _lines(path: Path, problems: list[str]) -> Iterator[tuple[int, str, int, bytes]]:
    """Number from 1, key, offset of what follows the tab, and that itself, of each line that is not empty."""
    try:
        with path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, start=1):
                start, offset = offset, offset + len(line)
                key, tab, rest = line.rstrip(b"\r\n").partition(b"\t")
                if tab:
                    yield number, key.decode(errors="replace"), start + len(key) + 1, rest
                elif key:
                    problems.append(f"{path}, line {number}: no tab between key and value")
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror})")
