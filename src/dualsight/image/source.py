"""What a user points at → the files in it that may hold pictures, one at a time.

Nothing is decoded here: a file's first bytes say whether it is worth opening. Folders and archives are walked as
they are consumed; of a folder no more is held than the names in it.
"""

from __future__ import annotations

import csv
import glob
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image.archive import Member, members
from dualsight.image.dicom.media import is_directory, listed_files
from dualsight.image.frame import Frame
from dualsight.image.limits import Limits
from dualsight.image.object_store import Object, below, is_address
from dualsight.image.open import read
from dualsight.image.reading import Reading
from dualsight.image.sniff import HEAD_BYTES, kind_of, other_format


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file that may hold pictures.

    name: the user's own words for it; `archive.zip!member` inside an archive. content: where its bytes are; what is
    called for them is small and can be pickled. UIDs: of a DICOM file, where they are known before it is opened.
    """

    name: str
    content: Path | Member | Object | Callable[[], bytes]
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None

    def frames(self, reading: Reading | None = None) -> Iterator[Frame]:
        """Its frames; raises as `dualsight.image.open` does."""
        yield from read(self.load(), reading or Reading(), source=self.name)

    def load(self) -> Path | bytes:
        """The path of its file, or its bytes where it has none. Raises ImageError where they cannot be had."""
        return self.content if isinstance(self.content, Path) else self.content()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A file in a folder, archive or glob that holds no picture, or cannot be looked into, and why."""

    name: str
    reason: str


def scan(sources: str | Path | Iterable[str | Path], *, limits: Limits | None = None) -> Iterator[Item | Skipped]:
    """The files to open, lazily, in the order of `sources` and sorted inside each.

    A source is a file, a folder (with all below it; hidden files and linked folders are left out), a glob (`**`
    for any depth), a zip archive, a DICOMDIR, a .csv with a column `path`, relative to itself, an object, folder or
    glob in an object store (`s3://…`, `gs://…`, see `object_store`, and what it raises), or the address of a DICOMweb
    server (`dicomweb+https://HOST/PATH`, see `dicomweb.instances`, and what it raises). A file named by the
    user, by a manifest or by a DICOMDIR is always an Item, even where opening it can only fail: it was asked for.
    What else is found is an Item if its first bytes are those of a picture, otherwise Skipped. A DICOMDIR found in a
    folder is passed over: the files that it lists are found by themselves.

    Raises UnsupportedImage for a manifest without the column `path`, UnreadableImage for one that is no text, and for
    a damaged DICOMDIR.
    """
    limits = limits or Limits()
    for source in [sources] if isinstance(sources, str | Path) else sources:
        path = Path(source)
        if isinstance(source, str) and source.startswith("dicomweb+"):
            from dualsight.image.dicomweb.instances import instances

            yield from instances(source, limits=limits)
        elif is_table(source):
            yield from _manifest(source, limits)
        elif is_address(source):
            yield from _objects(source, limits)
        elif os.path.isdir(path):  # noqa: PTH112 - False, as those below, for what cannot be looked at or be no path
            yield from _walk(path, limits)
        elif container := container_of(path):
            yield from (_archive if container == "zip" else _media)(path, limits)
        elif any(sign in str(source) for sign in "*?[") and not os.path.exists(path):  # noqa: PTH110 - as above
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
    named = set(found)
    for name in found:
        if container_of(Path(name)) == "media":
            yield from (thing for thing in _media(Path(name), limits) if thing.name not in named)
        elif os.path.isfile(name):  # noqa: PTH113 - as in `scan`
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
    if kind == "dicom" and is_directory(head):
        return "a DICOM media directory; the files that it lists are walked by themselves"
    if kind in ("dicom", "raster", "volume"):
        return None
    return other_format(head) or ("an archive inside an archive" if kind == "zip" else "no picture")


def container_of(path: Path) -> Literal["zip", "media"] | None:
    """Whether the file at `path` stands for others: an archive, or the directory of a DICOM medium."""
    try:
        if not os.path.isfile(path):  # noqa: PTH113 - False also for a name with a null byte
            return None
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None  # opening the Item says why
    kind = kind_of(head)
    if kind == "dicom":
        return "media" if is_directory(head) else None
    return "zip" if kind == "zip" else None


def _archive(path: Path, limits: Limits) -> Iterator[Item | Skipped]:
    """The members of a zip file."""
    try:
        for member, head in members(path, limits):
            reason = head if isinstance(head, str) else _why_not(head)
            yield Skipped(name=member.name, reason=reason) if reason else Item(name=member.name, content=member)
    except UnreadableImage as error:
        yield Skipped(name=str(path), reason=error.problem)


def _media(directory: Path, limits: Limits) -> Iterator[Item | Skipped]:
    """The files that a DICOMDIR lists."""
    for path, is_inside in listed_files(directory, limits):
        if is_inside:
            yield Item(name=str(path), content=path)
        else:
            yield Skipped(name=str(path), reason="listed by a DICOMDIR, and its name leads out of the folder")


def is_table(source: str | Path) -> bool:
    """Whether a source is a .csv, of which `open_table` reads the text."""
    path = Path(source)
    is_csv = path.suffix.lower() == ".csv"
    return is_csv and (is_address(source) or os.path.isfile(path))  # noqa: PTH113 - as in `scan`


def open_table(source: str | Path, limits: Limits | None = None) -> TextIO:
    """The text of a .csv, open for reading. Raises OSError or UnicodeDecodeError, and what `Object` raises."""
    if not is_address(source):
        return Path(source).open(newline="", encoding="utf-8-sig")
    data = Object(address=source, max_bytes=(limits or Limits()).file_bytes)()
    return io.StringIO(data.decode("utf-8-sig"), newline="")


def _manifest(table: str | Path, limits: Limits) -> Iterator[Item]:
    """The files of a .csv's column `path`."""
    try:
        with open_table(table, limits) as file:
            rows = csv.DictReader(file)
            if "path" not in (rows.fieldnames or ()):
                raise UnsupportedImage("no column `path`", source=str(table), hint="name it in the first line")
            for row in rows:
                if row["path"]:
                    yield Item(name=row["path"], content=beside(table, row["path"], limits))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableImage(f"no readable table ({type(error).__name__})", source=str(table)) from error


def beside(table: str | Path, path: str, limits: Limits) -> Path | Object:
    """What a table means by a path: it is relative to the table, if it is relative."""
    if is_address(path):
        return Object(address=path, max_bytes=limits.file_bytes)
    if is_address(table):
        return Object(address=f"{table.rpartition('/')[0]}/{path}", max_bytes=limits.file_bytes)
    return Path(table).parent / path


def _objects(address: str, limits: Limits) -> Iterator[Item | Skipped]:
    """What is below an address; the object itself where it is that of one."""
    found = below(address, limits)
    if found is None:
        yield Item(name=address, content=Object(address=address, max_bytes=limits.file_bytes))
        return
    for one in found:
        name, head = one.object.address, one.head
        if isinstance(head, bytes) and kind_of(head) == "zip":
            yield Skipped(name=name, reason="an archive in an object store: unpack it there")
            continue
        reason = head if isinstance(head, str) else _why_not(head)
        yield Skipped(name=name, reason=reason) if reason else Item(name=name, content=one.object)
