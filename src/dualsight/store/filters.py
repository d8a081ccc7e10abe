"""A filter as data: its words are parsed into a tree over known columns, and the tree is rendered for Lance.

    "modality = 'CT' and age > 60" ──tokens──▶ And(Compare, Compare) ──render──▶ `modality` = 'CT' AND `age` > 60

    filter      and-chains joined by `or`; `not` and parentheses as usual
    comparison  column = != <> < <= > >= value · column [not] in (value, …) · column [not] like 'pattern'
                column is [not] null
    value       'text' (a quote in it doubled) · 60 · -1.5e3 · true · false

Nothing that a user writes reaches Lance but as a column that the table has or as a literal of that column's type.
In a pattern `%` stands for any characters and `_` for one. A null is neither equal nor unequal to anything (SQL).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from dualsight.errors import FilterError
from dualsight.store.filter_tree import And, Compare, Filter, In, IsNull, Like, Not, Or, Value

ColumnType = Literal["text", "integer", "number", "truth"]

MAX_CHARACTERS = 20_000
MAX_DEPTH = 50
_INT64 = 1 << 63

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign><>|!=|<=|>=|[=<>(),])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_WHOLE = re.compile(r"[+-]?\d{1,19}")
_OPERATORS = {"=": "=", "!=": "<>", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_NEEDS: dict[ColumnType, str] = {
    "text": "text in single quotes",
    "integer": "a whole number",
    "number": "a number",
    "truth": "true or false",
}
_RESERVED = {"and", "or", "not", "in", "like", "is", "null", "true", "false"}


def parse(expression: str, columns: Mapping[str, ColumnType]) -> Filter:
    """The tree of an expression over `columns`. Raises FilterError, with the place, for everything else."""
    if len(expression) > MAX_CHARACTERS:
        problem = f"longer than {MAX_CHARACTERS:,} characters"
        raise FilterError(problem, expression=f"{expression[:60]}…", position=0, hint="put the values into a column")
    return _Parser(expression, columns).parse()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # text, number, word, sign, end
    text: str
    position: int

    @property
    def keyword(self) -> str:
        return self.text.lower() if self.kind in ("word", "sign") else ""


class _Parser:
    """Recursive descent, a method a rule of the grammar."""

    def __init__(self, expression: str, columns: Mapping[str, ColumnType]) -> None:
        self._expression = expression
        self._columns = columns
        self._depth = 0
        self._tokens = self._tokenise()
        self._next = next(self._tokens)

    def parse(self) -> Filter:
        tree = self._or()
        if self._next.kind != "end":
            raise self._error(f"{self._next.text!r} is not expected here", self._next)
        return tree

    def _or(self) -> Filter:
        parts = [self._and()]
        while self._took("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Or(parts=tuple(parts))

    def _and(self) -> Filter:
        parts = [self._not()]
        while self._took("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else And(parts=tuple(parts))

    def _not(self) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep", self._next)
        tree: Filter
        if self._took("not"):
            tree = Not(part=self._not())
        elif self._took("("):
            tree = self._or()
            self._expect(")")
        else:
            tree = self._comparison()
        self._depth -= 1
        return tree

    def _comparison(self) -> Filter:
        column = self._column()
        if self._took("is"):
            negated = self._took("not")
            self._expect("null")
            return _negated_if(negated, IsNull(column=column))
        if self._next.text in _OPERATORS:
            sign = self._take()
            kind = self._columns[column]
            if kind == "truth" and sign.text not in ("=", "!=", "<>"):
                raise self._error(f"{column} is true or false, and has no order", sign)
            return Compare(column=column, operator=_OPERATORS[sign.text], value=self._value(column))
        negated = self._took("not")
        if self._took("in"):
            return _negated_if(negated, In(column=column, values=self._values(column)))
        if self._next.keyword == "like":
            like = self._take()
            if self._columns[column] != "text":
                raise self._error(f"{column} is no text: like is for texts", like)
            return _negated_if(negated, Like(column=column, pattern=str(self._value(column))))
        raise self._error("a comparison is missing", self._next, hint="one of = != < <= > >=, in, like, is null")

    def _column(self) -> str:
        token = self._take()
        if token.kind != "word" or token.keyword in _RESERVED:
            raise self._error("a column is missing", token, hint=f"columns are {', '.join(sorted(self._columns))}")
        if token.text not in self._columns:
            hint = f"columns are {', '.join(sorted(self._columns))}; a text stands in single quotes"
            raise self._error(f"no column {token.text}", token, hint=hint)
        return token.text

    def _values(self, column: str) -> tuple[Value, ...]:
        self._expect("(")
        values = [self._value(column)]
        while self._took(","):
            values.append(self._value(column))
        self._expect(")")
        return tuple(values)

    def _value(self, column: str) -> Value:
        """A literal of the column's type."""
        token = self._take()
        wanted = self._columns[column]
        match wanted, token.kind:
            case "text", "text":
                return token.text[1:-1].replace("''", "'")
            case "integer", "number" if _WHOLE.fullmatch(token.text) and -_INT64 <= int(token.text) < _INT64:
                return int(token.text)
            case "number", "number" if abs(float(token.text)) < float("inf"):
                return float(token.text)
            case "truth", "word" if token.keyword in ("true", "false"):
                return token.keyword == "true"
            case _:
                raise self._error(f"{column} is compared with {_NEEDS[wanted]}", token)

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = next(self._tokens)
        return token

    def _took(self, keyword: str) -> bool:
        if self._next.keyword != keyword:
            return False
        self._take()
        return True

    def _expect(self, keyword: str) -> None:
        token = self._take()
        if token.keyword != keyword:
            raise self._error(f"{keyword!r} is missing", token)

    def _tokenise(self) -> Iterator[_Token]:
        at = 0
        while True:
            found = _TOKEN.match(self._expression, at)
            if found is None:
                start = at + len(self._expression[at:]) - len(self._expression[at:].lstrip())
                rest = self._expression[start:]
                problem = "a quote is not closed" if rest.startswith("'") else f"{rest[0]!r} has no meaning here"
                raise self._error(problem, _Token("", "", start), hint="texts stand in single quotes: 'CT'")
            kind = str(found.lastgroup)
            yield _Token(kind, found[kind], found.start(kind))
            at = found.end()

    def _error(self, problem: str, token: _Token, hint: str = "") -> FilterError:
        return FilterError(problem, expression=self._expression, position=token.position, hint=hint)


def _negated_if(negated: bool, part: Filter) -> Filter:
    return Not(part=part) if negated else part
