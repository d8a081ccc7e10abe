"""/v1/search: the rows of the server's index that are nearest to texts and pictures."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from pydantic import Field

from dualsight.errors import FilterError, MalformedRequest, StoreError
from dualsight.interface.http.answer import Answer
from dualsight.interface.http.asked import Refusal, Strict, TheClient, TheIndex, TheService, all_good, refusals
from dualsight.interface.http.fields import About, Images, Texts, WindowName, about
from dualsight.interface.http.form import openapi_body, read_request
from dualsight.interface.http.pictures import read_window
from dualsight.interface.index_view import check_columns, visible_rows
from dualsight.store.filters import MAX_CHARACTERS
from dualsight.store.hits import Hits
from dualsight.store.query import Query, weighted_sum

Weight = Annotated[float, Field(ge=0, le=1_000)]


class SearchRequest(Strict):
    """What to look for: a weighted sum of texts and pictures, less what the hits should be unlike."""

    texts: Texts | None = None
    images: Images | None = None
    unlike: Annotated[list[str] | None, Field(examples=[["no finding"]])] = None
    text_weight: Weight = 1.0
    image_weight: Weight = 1.0
    unlike_weight: Weight = 0.5
    where: Annotated[str, Field(max_length=MAX_CHARACTERS, examples=["modality = 'CT'"])] = ""
    k: Annotated[int, Field(ge=1, le=1_000)] = 10
    per: Annotated[str | None, Field(description="one hit of each volume, series, study, or value of a column")] = None
    exact: bool = False
    window: WindowName = "auto"


class SearchResponse(About):
    """The hits, nearest first: `score` is a cosine; what else there is are the index's columns.

    exact: every row was compared. n_rows: of the index.
    """

    n_rows: int
    exact: bool
    hits: list[dict[str, Any]]


routes = APIRouter(tags=["dualsight"])


@routes.post(
    "/v1/search",
    response_model=SearchResponse,
    responses=refusals(Refusal, 404, 422),
    openapi_extra=openapi_body(SearchRequest),
)
async def search(request: Request, service: TheService, index: TheIndex, client: TheClient) -> Answer:
    """The nearest rows of the index that the server was started with."""
    asked, pictures = await read_request(request, SearchRequest, service.limits)
    texts, unlike = asked.texts or [], asked.unlike or []
    if not texts and not pictures:
        raise MalformedRequest("nothing to look for", hint="give a text or an image")
    with _of_the_caller():
        await service.run("search", lambda: check_columns(index, asked.where, asked.per), client=client)
    words = await service.embed_texts([*texts, *unlike], client=client)
    window = read_window(asked.window)
    images = all_good(await service.embed_images(dict(enumerate(pictures)), client=client, window=window))
    parts = [
        (asked.text_weight, words[: len(texts)]),
        (asked.image_weight, np.array([image.vector for image in images])),
        (-asked.unlike_weight, words[len(texts) :]),
    ]
    with _of_the_caller():
        query = Query(vector=weighted_sum([(weight, vectors) for weight, vectors in parts if len(vectors)]))

    def find() -> Hits:
        return index.search(query=query, where=asked.where, k=asked.k, per=asked.per, exact=asked.exact)

    hits = await service.run("search", find, client=client)
    found = {"n_rows": hits.n_rows, "exact": hits.is_exact, "hits": visible_rows(hits)}
    return Answer({**about(service.model), **found})


@contextmanager
def _of_the_caller() -> Generator[None, None, None]:
    """A StoreError of the block is a mistake in the request, and not the store's."""
    try:
        yield
    except FilterError:
        raise
    except StoreError as error:
        raise MalformedRequest(str(error), hint=error.hint) from None
