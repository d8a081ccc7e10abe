"""What goes wrong, in words, at the place where it belongs. Every handler of the page passes through here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Any, TypeAlias

from dualsight.errors import DualsightError

Handler: TypeAlias = Callable[..., tuple[Any, ...]]

_log = logging.getLogger(__name__)
_MISTAKE = "This went wrong for a reason that nobody has foreseen; the server's log says more."


def telling(*otherwise: Any) -> Callable[[Handler], Handler]:
    """A handler with one output more, before its own: what went wrong, in HTML; empty where all went well.

    otherwise: the values of its own outputs where it did not.
    """

    def tell(handler: Handler) -> Handler:
        @wraps(handler)
        def told(*args: Any) -> tuple[Any, ...]:
            try:
                return ("", *handler(*args))
            except DualsightError as error:
                return (problem(str(error), error.hint), *otherwise)
            except Exception:
                _log.exception("a mistake on the page")
                return (problem(_MISTAKE), *otherwise)

        return told

    return tell


def problem(words: str, hint: str = "") -> str:
    """Something to be mended, said at once to those who listen."""
    said = words.partition("\n")[0].removesuffix(".")  # a filter's other lines point into it, in letters of one width
    more = f" <span>{escape(hint.removesuffix('.'))}.</span>" if hint else ""
    return f'<p class="problem" role="alert">{escape(said)}.{more}</p>'
