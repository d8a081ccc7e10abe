"""What every route asks of the application: the service, and who the client is; and pictures that all must be good."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict

from dualsight.errors import NotOffered, NotReady
from dualsight.interface.http.maps import Maps
from dualsight.interface.http.service import Service
from dualsight.store.index import Index
from dualsight.task.embed import Failed


class ItemFailed(Exception):
    """One item has failed, and the contract has no place for that but the whole answer."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(str(failed.error))
        self.failed = failed


class Strict(BaseModel):
    """A body of ours: an unknown field is a mistake, not a wish that is passed over."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Lenient(BaseModel):
    """A body of another's contract: fields that we do not know may be meant for others."""

    model_config = ConfigDict(strict=True)


class Problem(BaseModel):
    """What went wrong, for a program, for a person, and where."""

    code: str
    message: str
    details: dict[str, Any]


class Refusal(BaseModel):
    """An answer that is no answer."""

    error: Problem


async def _service(request: Request) -> Service:
    service: Service | None = getattr(request.app.state, "service", None)
    if service is None:
        raise NotReady("the model is not loaded", hint="try again in a moment; /readyz says when")
    return service


TheService = Annotated[Service, Depends(_service)]


async def _maps(request: Request, service: TheService) -> Maps:
    """There as long as the service is."""
    maps: Maps = request.app.state.maps
    return maps


async def _index(request: Request, service: TheService) -> Index:
    index: Index | None = request.app.state.index
    if index is None:
        raise NotOffered("this server has no index to search", hint="it is started with one: --db DIR")
    return index


async def _client(request: Request) -> str:
    return str(request.state.client)


TheMaps = Annotated[Maps, Depends(_maps)]
TheIndex = Annotated[Index, Depends(_index)]
TheClient = Annotated[str, Depends(_client)]


def refusals(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says about the answers of these statuses, and of those that any route may give."""
    texts = {
        400: "malformed",
        401: "no key, or an unknown one",
        404: "not there",
        408: "not sent in time",
        413: "over a limit: of images, labels, texts, maps or bytes",
        415: "a content type or encoding that is not taken",
        422: "a picture, text or label that cannot be used",
        429: "too much in hand: Retry-After says when to come back",
        503: "not ready",
        504: "no answer within the deadline",
    }
    every = (400, 401, 408, 413, 415, 429, 503, 504)
    return {status: {"model": model, "description": texts[status]} for status in sorted({*every, *statuses})}


def all_good(results: Iterable[Any]) -> list[Any]:
    """The results, if none has failed. Raises ItemFailed for the first that has."""
    kept = list(results)
    for result in kept:
        if isinstance(result, Failed):
            raise ItemFailed(result)
    return kept
