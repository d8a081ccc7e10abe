"""A filter as data, and how Lance reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """column operator value; the operator is one of = <> < <= > >=."""

    column: str
    operator: str
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class In:
    """The column has one of these values."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Like:
    """The column's text fits a pattern."""

    column: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IsNull:
    """Nothing is known."""

    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """What `part` is not."""

    part: Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """All of its parts."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """Any of its parts."""

    parts: tuple[Filter, ...]


Filter: TypeAlias = Compare | In | Like | IsNull | Not | And | Or


def render(tree: Filter) -> str:
    """The tree as Lance reads it."""
    match tree:
        case Compare():
            return f"{_quoted(tree.column)} {tree.operator} {_literal(tree.value)}"
        case In():
            return f"{_quoted(tree.column)} IN ({', '.join(map(_literal, tree.values))})"
        case Like():
            return f"{_quoted(tree.column)} LIKE {_literal(tree.pattern)}"
        case IsNull():
            return f"{_quoted(tree.column)} IS NULL"
        case Not():
            return f"NOT ({render(tree.part)})"
        case And() | Or():
            word = " AND " if isinstance(tree, And) else " OR "
            return word.join(f"({render(part)})" for part in tree.parts)


def names(tree: Filter) -> frozenset[str]:
    """The columns that a filter asks about."""
    match tree:
        case Compare() | In() | Like() | IsNull():
            return frozenset([tree.column])
        case Not():
            return names(tree.part)
        case And() | Or():
            return frozenset().union(*map(names, tree.parts))


def _quoted(column: str) -> str:
    return f"`{column}`"


def _literal(value: Value) -> str:
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return repr(value)
