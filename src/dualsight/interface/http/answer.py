"""An answer in JSON, written by pydantic: of vectors, ten times as fast as Python's own."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json
from starlette.responses import JSONResponse


class Answer(JSONResponse):
    """What a route gives: dictionaries, lists, texts and numbers."""

    def render(self, content: Any) -> bytes:
        """As UTF-8; what is no number is null."""
        return to_json(content, inf_nan_mode="null")
