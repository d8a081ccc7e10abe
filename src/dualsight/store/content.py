"""What is in a file, as a hash: the same bytes under another name are the same picture."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from dualsight.image.archive import Member
from dualsight.image.object_store import Object
from dualsight.image.source import Item
from dualsight.image.study import Series, Study

Unit: TypeAlias = Item | Series | Study
"""What is embedded as one: a file, or the DICOM files that belong together."""

_CHUNK = 1 << 20


U = TypeVar("U", bound=Unit, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashed(Generic[U]):
    """A unit, ready to be embedded, and the hash of its content."""

    unit: U
    content_hash: str


def hash_unit(unit: Unit, key: bytes | None = None) -> Hashed[Unit]:
    """A file's hash is that of its bytes (SHA-256, with a key HMAC), a series' that of its files' hashes.

    What has to be fetched or unpacked for it is kept for the decoder. Raises OSError or ImageError.
    """
    match unit:
        case Item():
            return _hash_item(unit, key)
        case Series():
            return _hash_series(unit, key)
        case Study():
            parts = tuple(_hash_series(series, key) for series in unit.series)
            study = replace(unit, series=tuple(part.unit for part in parts))
            return Hashed(unit=study, content_hash=_joined(parts, key))


def hash_text(text: str) -> str:
    """The hash of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def first_item(unit: Unit) -> Item:
    """The file that a unit is named after."""
    match unit:
        case Item():
            return unit
        case Series():
            return next((item for item in unit.items if item.name == unit.name), unit.items[0])
        case Study():
            return next((one for s in unit.series for one in s.items if one.name == unit.name), unit.series[0].items[0])


def place_of(content: Path | Member | Object | Callable[[], bytes]) -> str | None:
    """Where an item lies: its file or the archive that it is in, absolute, or the object; None for what is sent."""
    match content:
        case Path():
            return str(content.absolute())
        case Member():
            return str(content.archive.absolute())
        case Object():
            return content.address
        case _:
            return None


def absolute(unit: Unit) -> Unit:
    """The same unit for another process, which may have another working directory."""
    match unit:
        case Item():
            return _absolute_item(unit)
        case Series():
            return _absolute_series(unit)
        case Study():
            return replace(unit, series=tuple(map(_absolute_series, unit.series)))


def _absolute_series(series: Series) -> Series:
    return replace(series, items=tuple(map(_absolute_item, series.items)))


def _absolute_item(item: Item) -> Item:
    match item.content:
        case Path() as path:
            return replace(item, content=path.absolute())
        case Member() as member:
            return replace(item, content=replace(member, archive=member.archive.absolute()))
        case _:
            return item


def _hash_series(series: Series, key: bytes | None) -> Hashed[Series]:
    items = tuple(_hash_item(item, key) for item in series.items)
    return Hashed(unit=replace(series, items=tuple(item.unit for item in items)), content_hash=_joined(items, key))


def _hash_item(item: Item, key: bytes | None) -> Hashed[Item]:
    digest = hashlib.sha256() if key is None else hmac.new(key, digestmod="sha256")
    if isinstance(item.content, Path):
        with item.content.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return Hashed(unit=item, content_hash=digest.hexdigest())
    data = item.content()
    digest.update(data)
    return Hashed(unit=replace(item, content=partial(bytes, data)), content_hash=digest.hexdigest())


def _joined(parts: tuple[Hashed[Unit], ...], key: bytes | None) -> str:
    together = "\n".join(sorted(part.content_hash for part in parts)).encode()
    digest = hashlib.sha256(together) if key is None else hmac.new(key, together, "sha256")
    return digest.hexdigest()
