"""What a user points at → the files in it that may hold pictures, one at a time.

Nothing is decoded here: a file's first bytes say whether it is worth opening. Folders and archives are walked as
they are consumed; of a folder no more is held than the names in it.
"""

from __future__ import annotations

import csv
import glob
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.frame import Frame
from dualsight.image.limits import Limits
from dualsight.image.open import read
from dualsight.image.reading import Reading
from dualsight.image.sniff import HEAD_BYTES, kind_of, other_format

_DICOMDIR = b"1.2.840.10008.1.3.10"  # SOP class of a media directory (PS3.4 annex I.4)
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file that may hold pictures. name: the user's own words for it; `archive.zip!member` inside an archive."""

    name: str
    content: Path | Callable[[], bytes]

    def frames(self, reading: Reading | None = None) -> Iterator[Frame]:
        """Its frames; raises as `dualsight.image.open` does."""
        content = self.content if isinstance(self.content, Path) else self.content()
        yield from read(content, reading or Reading(), source=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A file in a folder, archive or glob that holds no picture, or cannot be looked into, and why."""

    name: str
    reason: str


def scan(sources: str | Path | Iterable[str | Path], *, limits: Limits | None = None) -> Iterator[Item | Skipped]:
    """The files to open, lazily, in the order of `sources` and sorted inside each.

    A source is a file, a folder (with all below it; hidden files and linked folders are left out), a glob (`**`
    for any depth), a zip archive, or a .csv with a column `path`, relative to itself. A file named by the user or
    by a manifest is always an Item, even where opening it can only fail: the user asked for it. What else is found
    is an Item if its first bytes are those of a picture, otherwise Skipped.

    Raises UnsupportedImage for a manifest without the column `path`, UnreadableImage for one that is no text.
    """
    limits = limits or Limits()
    for source in [sources] if isinstance(sources, str | Path) else sources:
        path = Path(source)
        if path.is_dir():
            yield from _walk(path, limits)
        elif path.is_file() and path.suffix.lower() == ".csv":
            yield from _manifest(path)
        elif path.is_file() and _is_zip(path):
            yield from _archive(path, limits)
        elif not path.exists() and any(sign in str(source) for sign in "*?["):
            yield from _glob(str(source), limits)
        else:
            yield Item(name=str(source), content=path)


def _walk(folder: Path, limits: Limits) -> Iterator[Item | Skipped]:
    denied: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=denied.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield from _found(Path(parent, name), limits)
        while denied:
            error = denied.pop()
            yield Skipped(name=str(error.filename), reason=f"cannot be listed ({error.strerror})")


def _glob(pattern: str, limits: Limits) -> Iterator[Item | Skipped]:
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob does not leave out hidden files
    if not found:
        yield Item(name=pattern, content=Path(pattern))
    for name in found:
        if Path(name).is_file():
            yield from _found(Path(name), limits)


def _found(path: Path, limits: Limits) -> Iterator[Item | Skipped]:
    """A file that the user did not name: an Item, the Items of an archive, or Skipped."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            yield Skipped(name=str(path), reason="is no regular file")
            return
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        yield Skipped(name=str(path), reason=f"cannot be read ({error.strerror})")
        return
    if kind_of(head) == "zip":
        yield from _archive(path, limits)
        return
    reason = _why_not(head)
    yield Skipped(name=str(path), reason=reason) if reason else Item(name=str(path), content=path)


def _why_not(head: bytes) -> str | None:
    """Why a file that begins so is not worth opening; None if it is."""
    if not head:
        return "empty"
    kind = kind_of(head)
    if kind == "gzip":
        try:
            kind = kind_of(zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES))
        except zlib.error:
            return "damaged gzip data"
    if kind == "dicom" and _DICOMDIR in head:
        return "a DICOM media directory; the files that it lists are walked by themselves"
    if kind in ("dicom", "raster", "volume"):
        return None
    return other_format(head) or ("an archive inside an archive" if kind == "zip" else "no picture")


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD_BYTES)) == "zip"
    except OSError:
        return False  # opening the Item says why


def _archive(path: Path, limits: Limits) -> Iterator[Item | Skipped]:
    """The members of a zip file. Nothing is written to disk; the file closes when the last of its Items is gone."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        yield Skipped(name=str(path), reason=f"a damaged archive ({type(error).__name__})")
        return
    for member in sorted(archive.infolist(), key=lambda member: member.filename):
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        hidden = any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in parts)
        if member.is_dir() or hidden:
            continue
        name = f"{path}!{member.filename}"
        reason = _why_not_member(archive, member, parts, limits)
        if reason:
            yield Skipped(name=name, reason=reason)
        else:
            yield Item(name=name, content=_reader(archive, member, name, limits))


def _why_not_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, parts: tuple[str, ...], limits: Limits
) -> str | None:
    if ".." in parts or parts[:1] == ("/",) or any(part.endswith(":") for part in parts[:1]):
        return "its name leads out of the archive"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.file_size > limits.file_bytes:
        return f"more than the limit of {limits.file_bytes:,} bytes once unpacked"
    try:
        with archive.open(member) as file:
            return _why_not(file.read(HEAD_BYTES))
    except _ZIP_ERRORS as error:
        return f"cannot be unpacked ({type(error).__name__})"


_ZIP_ERRORS = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def _reader(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, limits: Limits) -> Callable[[], bytes]:
    def read() -> bytes:
        """The member's bytes; the size in its header is not trusted."""
        try:
            with archive.open(member) as file:
                data = file.read(limits.file_bytes + 1)
        except _ZIP_ERRORS as error:
            raise UnreadableImage(f"cannot be unpacked ({type(error).__name__})", source=name) from error
        limits.check_bytes(len(data), source=name)
        return data

    return read


def _manifest(path: Path) -> Iterator[Item]:
    """The files of a .csv's column `path`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if "path" not in (rows.fieldnames or ()):
                raise UnsupportedImage("no column `path`", source=str(path), hint="name it in the first line")
            for row in rows:
                if row["path"]:
                    yield Item(name=row["path"], content=path.parent / row["path"])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableImage(f"no readable table ({type(error).__name__})", source=str(path)) from error
