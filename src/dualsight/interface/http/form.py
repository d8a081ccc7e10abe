"""A body of ours, JSON or multipart → one typed request and its pictures.

application/json       {"images": [base64…], "labels": […]} ─┐
                                                             ├──▶ request, pictures
multipart/form-data    files `images`, fields repeated ──────┘
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any, TypeVar, get_args, get_origin

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from dualsight.errors import MalformedRequest, UnsupportedBody
from dualsight.interface.http.body import FORM, JSON, content_type
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.pictures import Picture

M = TypeVar("M", bound=BaseModel)

_IMAGES = "images"


class _InMemory(MultiPartParser):
    """Starlette's parser; no part of a patient's file reaches the disk.

    It counts for itself: Starlette's own limits are told in words alone, like any other mistake in a form.
    """

    spool_max_size = 1 << 40

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], limits: ServerLimits) -> None:
        super().__init__(headers, stream, max_files=math.inf, max_fields=math.inf, max_part_size=limits.body_bytes)
        self._limits = limits
        self._n_files = self._n_fields = 0

    def on_headers_finished(self) -> None:
        """Counts a part that begins. Raises TooManyImages, RequestTooLarge."""
        super().on_headers_finished()
        if self._current_part.file is None:
            self._n_fields += 1
            self._limits.check_fields(self._n_fields)
        else:
            self._n_files += 1
            self._limits.check_images(self._n_files)


async def read_request(request: Request, kind: type[M], limits: ServerLimits) -> tuple[M, Sequence[Picture]]:
    """The request's fields, and its pictures: files of a form, base64 of JSON.

    Raises RequestValidationError for fields that do not fit, MalformedRequest for no form, UnsupportedBody, and
    TooManyImages or RequestTooLarge for a form of more parts than the limits allow.
    """
    sent = content_type(request.headers)
    if sent == JSON:
        asked = _valid(kind, await request.body())
        return asked, getattr(asked, _IMAGES, None) or []
    if sent == FORM:
        fields, files = await _parse_form(request, limits)
        return _valid(kind, json.dumps(_typed(fields, kind))), files
    raise UnsupportedBody("this content type is not taken", hint=f"send {JSON} or {FORM}")


def openapi_body(kind: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of a body that may come in both forms."""
    schema = kind.model_json_schema()
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "files"}
    lists = {  # without a type, which cannot be told in a form
        name: {"description": "text; repeated for several", "minItems": int(field.is_required())}
        for name, field in kind.model_fields.items()
        if _is_list(field.annotation)
    }
    form = {**schema, "properties": {**schema["properties"], **lists, _IMAGES: files}}
    content = {JSON: {"schema": schema}, FORM: {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


def _valid(kind: type[M], body: bytes | str) -> M:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False, include_url=False)) from None


async def _parse_form(request: Request, limits: ServerLimits) -> tuple[list[tuple[str, str]], list[bytes]]:
    body = await request.body()
    _, options = parse_options_header(request.headers["content-type"])
    if b"--" + options.get(b"boundary", b"") + b"--" not in body:  # the parser would take what there is of it
        raise MalformedRequest("the form does not end", hint="the boundary of its content type closes it")

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await _InMemory(request.headers, stream(), limits).parse()
    except MultiPartException as error:
        raise MalformedRequest(f"no form: {error.message}") from None
    except ValueError:  # Python knows codecs that decode nothing, and names that are none
        raise MalformedRequest("no form: its charset cannot be used", hint="leave the charset out: UTF-8") from None
    try:
        fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        uploads = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
        if any(name != _IMAGES for name, _ in uploads) or any(name == _IMAGES for name, _ in fields):
            raise MalformedRequest(f"files, and nothing else, belong into the field `{_IMAGES}`")
        # a file's name is the client's own affair, and may be a patient's: it goes nowhere
        return fields, [await upload.read() for _, upload in uploads]
    finally:
        await form.close()


def _typed(fields: list[tuple[str, str]], kind: type[BaseModel]) -> dict[str, Any]:
    """Repeated fields as lists where the request has lists, numbers and booleans where it has such."""
    typed: dict[str, Any] = {}
    for name, text in fields:
        annotation = kind.model_fields[name].annotation if name in kind.model_fields else str
        if _is_list(annotation):
            typed.setdefault(name, []).append(text)
        elif name in typed:
            raise MalformedRequest("a field that has one value comes twice")
        else:
            typed[name] = _value(text, {annotation, *get_args(annotation)})
    return typed


def _value(text: str, kinds: set[Any]) -> str | bool | int | float:
    """The text as one of these, or as it is where it is none of them: that is for the request to refuse."""
    if bool in kinds and text in ("true", "false"):
        return text == "true"
    if int in kinds and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if float in kinds and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", text):
        return float(text)
    return text


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))
