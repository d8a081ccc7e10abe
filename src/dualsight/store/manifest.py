"""The user's own columns: what stands beside `path` in a .csv, typed by what all of its rows hold."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from dualsight.errors import StoreError
from dualsight.image.limits import Limits
from dualsight.image.source import beside, is_table, open_table
from dualsight.store.content import place_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Columns of the user's, and their values for each file by where it lies: its name may be another's as well."""

    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    values: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def of(self, place: str | None) -> dict[str, Any]:
        """The values of the file there (see `place_of`): an empty cell is None; none of what no manifest names."""
        return dict(zip(self.types, self.values.get(place or "", ()), strict=False))


def read_manifests(sources: Sequence[str | Path], keep: Sequence[str] | None = None) -> Manifest:
    """The columns of every .csv in `sources`; `keep` names those to take, all without it.

    A column is whole numbers, numbers, true and false, or else text; about a gigabyte is held for a million rows of ten
    columns. Raises StoreError where `keep` names a column that is not there. What is no readable table is told by
    `dualsight.image.scan`, and passed over here.
    """
    cells: dict[str, dict[str, str]] = {}
    names: dict[str, None] = {}
    for source in sources:
        if is_table(source):
            _read(source, cells, names)
    missing = [name for name in keep or () if name not in names]
    if missing:
        known = ", ".join(names) or "none: no source is a .csv"
        raise StoreError(f"no manifest has a column {missing[0]}", hint=f"columns are {known}")
    kept = [name for name in names if keep is None or name in keep]
    types = {name: _type([row.get(name) or "" for row in cells.values()]) for name in kept}
    values = {place: tuple(_value(row.get(name), types[name]) for name in kept) for place, row in cells.items()}
    return Manifest(types=types, values=values)


def _read(table: str | Path, cells: dict[str, dict[str, str]], names: dict[str, None]) -> None:
    try:
        with open_table(table) as file:
            for row in csv.DictReader(file):
                own = {name: cell for name, cell in row.items() if name and name != "path" and cell is not None}
                cells[place_of(beside(table, row.get("path") or "", Limits())) or ""] = own
                names.update(dict.fromkeys(own))
    except (OSError, UnicodeDecodeError, csv.Error):
        return  # scanning it says why


def _type(cells: Sequence[str]) -> pa.DataType:
    """The narrowest type that all cells have; empty ones have any."""
    known = [cell.strip() for cell in cells if cell.strip()]
    if not known:
        return pa.string()
    for kind in (pa.int64(), pa.float64(), pa.bool_()):
        try:
            for cell in known:
                _parsed(cell, kind)
        except ValueError:
            continue
        return kind
    return pa.string()


def _value(cell: str | None, kind: pa.DataType) -> Any:
    text = (cell or "").strip()
    return _parsed(text, kind) if text else None


def _parsed(text: str, kind: pa.DataType) -> Any:
    """Raises ValueError for what is not of the type. A number with a leading 0 is a name, as in 00123."""
    if kind == pa.bool_():
        return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else _fail(text)
    if kind == pa.string():
        return text
    digits = text.lstrip("+-")
    if (digits.startswith("0") and digits[1:2].isdigit()) or "_" in text:
        _fail(text)
    number = int(text) if kind == pa.int64() else float(text)
    return number if abs(number) < 1 << 63 else _fail(text)  # nor infinity, nor NaN


def _fail(text: str) -> Any:
    raise ValueError(text)
