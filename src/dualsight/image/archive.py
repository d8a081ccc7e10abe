"""Zip archives → their members, read by name and never unpacked to disk."""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from dualsight.errors import UnreadableImage
from dualsight.image.limits import Limits
from dualsight.image.sniff import HEAD_BYTES

_ENCRYPTED = 0x1
_OPEN_ARCHIVES = 4
_ZIP_ERRORS = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in an archive, by what it takes to read it: small, comparable, and as good in another process.

    name: for errors. entry: its place in the archive's directory. max_bytes: how large it may be once unpacked.
    """

    name: str
    archive: Path
    entry: int
    max_bytes: int

    def __call__(self) -> bytes:
        """Its bytes; the size in its header is not trusted. Raises UnreadableImage or ImageTooLarge."""
        try:
            archive = opened(self.archive)
            with archive.open(archive.infolist()[self.entry]) as file:
                data = file.read(self.max_bytes + 1)
        except (*_ZIP_ERRORS, IndexError) as error:
            raise UnreadableImage(f"cannot be unpacked ({type(error).__name__})", source=self.name) from error
        Limits(file_bytes=self.max_bytes).check_bytes(len(data), source=self.name)
        return data


def members(path: Path, limits: Limits) -> Iterator[tuple[Member, bytes | str]]:
    """Each file of an archive, sorted by name, with its first bytes or with the reason why it cannot be read.

    Folders and hidden files are left out. Raises UnreadableImage for what is no archive.
    """
    try:
        archive = opened(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UnreadableImage(f"a damaged archive ({type(error).__name__})", source=str(path)) from error
    for entry, info in sorted(enumerate(archive.infolist()), key=lambda pair: pair[1].filename):
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        hidden = any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in parts)
        if not (info.filename.endswith("/") or hidden):
            name = f"{path}!{info.filename}"
            member = Member(name=name, archive=path, entry=entry, max_bytes=limits.file_bytes)
            yield member, _head(archive, info, parts, limits)


def _head(archive: zipfile.ZipFile, info: zipfile.ZipInfo, parts: tuple[str, ...], limits: Limits) -> bytes | str:
    if ".." in parts or parts[:1] == ("/",) or any(part.endswith(":") for part in parts[:1]):
        return "its name leads out of the archive"
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if info.file_size > limits.file_bytes:
        return f"more than the limit of {limits.file_bytes:,} bytes once unpacked"
    try:
        with archive.open(info) as file:
            return file.read(HEAD_BYTES)
    except _ZIP_ERRORS as error:
        return f"cannot be unpacked ({type(error).__name__})"


def opened(path: Path) -> zipfile.ZipFile:
    """The archive, open for reading from any thread; the last few stay open, since reading a directory takes long.

    Raises what `zipfile.ZipFile` raises.
    """
    state = path.stat()
    return _opened(path, (state.st_mtime_ns, state.st_size, state.st_ino), os.getpid())


@lru_cache(maxsize=_OPEN_ARCHIVES)
def _opened(path: Path, state: tuple[int, ...], process: int) -> zipfile.ZipFile:
    """Another archive once the file has changed, or in another process: a forked one would share its place in it."""
    return zipfile.ZipFile(path)
