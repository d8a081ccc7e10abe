"""Object stores (`s3://BUCKET/…`, `gs://BUCKET/…`) → what lies below an address, fetched when it is opened.

Credentials, endpoints and regions come from the environment alone, as each store's own tools read them
(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS and their like). Only an address that the user
gave is spoken to.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from dualsight.errors import FetchError, MissingExtra, UnreadableImage, UnsupportedImage
from dualsight.image.limits import Limits
from dualsight.image.sniff import HEAD_BYTES

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

LIBRARIES = {"s3": "s3fs", "gs": "gcsfs"}
"""Schemes, and the library behind fsspec that speaks with such a store."""
HEADS = 64  # asked for at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object, by what it takes to fetch it: small, comparable, and as good in another process."""

    address: str
    max_bytes: int

    def __call__(self) -> bytes:
        """Its bytes. Raises UnreadableImage, ImageTooLarge, FetchError, MissingExtra."""
        files, path = file_system(self.address)
        with told(self.address):
            data: bytes = files.cat_file(path, end=self.max_bytes + 1)
        Limits(file_bytes=self.max_bytes).check_bytes(len(data), source=self.address)
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object below an address. head: its first bytes, or why they cannot be had."""

    object: Object
    head: bytes | str


def is_address(source: str | Path) -> TypeGuard[str]:
    """Whether it names something in an object store."""
    return isinstance(source, str) and source.partition("://")[0] in LIBRARIES and "://" in source


def file_system(address: str) -> tuple[AbstractFileSystem, str]:
    """The store, and the address as it calls it. Raises MissingExtra, UnsupportedImage for a password in it."""
    import fsspec

    scheme, _, rest = address.partition("://")
    if "@" in rest.partition("/")[0]:
        problem = "an address with a name or password in it, where every list of processes shows it"
        raise UnsupportedImage(problem, source=f"{scheme}://…", hint="credentials are read from the environment")
    try:
        return fsspec.core.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        problem = f"{scheme}:// needs {LIBRARIES[scheme]}"
        raise MissingExtra(problem, hint="pip install 'dualsight[cloud]'") from error


@contextmanager
def told(address: str) -> Generator[None, None, None]:
    """Makes one error of ours of all that a store's library may raise."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableImage("no such object or bucket", source=address) from error
    except Exception as error:  # botocore's, Google's, aiohttp's: each library has a tree of its own
        hint = "credentials, region and endpoint are read from the environment"
        raise FetchError(f"the store does not deliver ({type(error).__name__})", source=address, hint=hint) from error


def below(address: str, limits: Limits) -> Iterator[Found] | None:
    """What lies below an address, sorted folder by folder, without hidden objects; None for what is no folder or glob.

    Of a folder no more is held than the list of what is in it. Raises FetchError.
    """
    files, path = file_system(address)
    with told(address):
        if any(sign in path for sign in "*?["):
            found = sorted(files.glob(path, detail=True).values(), key=_name)
            return _with_heads(files, address, filter(_is_shown, found), limits)
        if not files.isdir(path):
            return None
    return _with_heads(files, address, _walk(files, path, address), limits)


def _walk(files: AbstractFileSystem, folder: str, address: str) -> Iterator[dict[str, Any]]:
    """Its objects, then those of the folders in it, as the store describes them."""
    with told(address):
        entries = sorted(files.ls(folder, detail=True), key=_name)
    shown = list(filter(_is_shown, entries))
    yield from (entry for entry in shown if entry["type"] == "file")
    for entry in shown:
        if entry["type"] == "directory":
            yield from _walk(files, _name(entry), address)


def _with_heads(
    files: AbstractFileSystem, address: str, entries: Iterator[dict[str, Any]], limits: Limits
) -> Iterator[Found]:
    """The first bytes of each, some at a time: a store takes long to answer, and answers many at once."""
    while some := list(islice(entries, HEADS)):
        asked = [_name(entry) for entry in some if entry["size"]]
        with told(address):
            answers = files.cat_ranges(asked, [0] * len(asked), [HEAD_BYTES] * len(asked), on_error="return")
        heads = dict(zip(asked, answers, strict=True))
        for path in map(_name, some):
            head = heads.get(path, b"")  # of an empty object there is no range to ask for
            name = str(files.unstrip_protocol(path))
            reason = head if isinstance(head, bytes) else f"cannot be read ({type(head).__name__})"
            yield Found(object=Object(address=name, max_bytes=limits.file_bytes), head=reason)


def _is_shown(entry: dict[str, Any]) -> bool:
    """Not so what is hidden, nor an object that only stands for a folder."""
    name = _name(entry)
    return not name.rpartition("/")[2].startswith(".") and not (entry["type"] == "file" and name.endswith("/"))


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"])
