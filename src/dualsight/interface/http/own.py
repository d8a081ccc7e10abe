"""Our own contract: /v1/embed, /v1/classify, /v1/similarity, /v1/model; search.py and explain.py are the rest of it.

JSON with base64, or a form with files of any kind that `dualsight.image.open` reads. Of several items a bad one is
told in its place; where all have failed, so has the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray

from dualsight import __version__
from dualsight.errors import MalformedRequest
from dualsight.interface.http.answer import Answer
from dualsight.interface.http.asked import ItemFailed, Refusal, Strict, TheClient, TheService, all_good, refusals
from dualsight.interface.http.errors import item_error
from dualsight.interface.http.fields import About, Images, Labels, Templates, Texts, WindowName, about
from dualsight.interface.http.form import openapi_body, read_request
from dualsight.interface.http.pictures import read_window
from dualsight.task.classify import Classification
from dualsight.task.embed import Embedded, Failed

R = TypeVar("R")
Vector = NDArray[np.float32]


class EmbedRequest(Strict):
    """Pictures, texts, or both."""

    images: Images | None = None
    texts: Texts | None = None
    window: WindowName = "auto"
    per: Literal["image", "frame"] = "image"


class ClassifyRequest(Strict):
    """Pictures, and what to choose from."""

    images: Images | None = None
    labels: Labels
    multilabel: bool = False
    templates: Templates = ["{label}"]  # noqa: RUF012 - pydantic copies it
    window: WindowName = "auto"


class SimilarityRequest(Strict):
    """Pictures and texts; with only one of the two, each with each other."""

    images: Images | None = None
    texts: Texts | None = None
    window: WindowName = "auto"


class EmbedResponse(About):
    """An entry a picture (or frame) and a text, in order: a vector of unit length, or an error."""

    images: list[dict[str, Any]]
    texts: list[dict[str, Any]]


class ClassifyResponse(About):
    """An entry a picture, in order: labels by falling probability, or an error."""

    results: list[dict[str, Any]]


class SimilarityResponse(About):
    """Cosines, images × texts."""

    cosines: list[list[float]]


class ModelResponse(About):
    """What the model takes and gives."""

    embedding_size: int
    image_size: list[int]
    context_length: int
    logit_scale: float
    engine: str
    version: str


routes = APIRouter(tags=["dualsight"])


@routes.post(
    "/v1/embed",
    response_model=EmbedResponse,
    responses=refusals(Refusal, 422),
    openapi_extra=openapi_body(EmbedRequest),
)
async def embed(request: Request, service: TheService, client: TheClient) -> Answer:
    """Embeddings of pictures and texts."""
    asked, pictures = await read_request(request, EmbedRequest, service.limits)
    window = read_window(asked.window)
    texts = await service.embed_texts(asked.texts or [], client=client)
    items = await service.embed_images(dict(enumerate(pictures)), client=client, window=window, per=asked.per)
    items = _not_all_failed(items, texts)
    return Answer(
        {
            **about(service.model),
            "images": [_embedded(item) for item in items],
            "texts": [{"index": i, "vector": vector.tolist()} for i, vector in enumerate(texts)],
        }
    )


@routes.post(
    "/v1/classify",
    response_model=ClassifyResponse,
    responses=refusals(Refusal, 422),
    openapi_extra=openapi_body(ClassifyRequest),
)
async def classify(request: Request, service: TheService, client: TheClient) -> Answer:
    """Probabilities of labels for pictures, by words alone (zero-shot). Never a diagnosis."""
    asked, pictures = await read_request(request, ClassifyRequest, service.limits)
    results = await service.classify(
        pictures,
        asked.labels,
        client=client,
        multilabel=asked.multilabel,
        templates=asked.templates,
        window=read_window(asked.window),
    )
    rows = [_classified(i, result) for i, result in enumerate(_not_all_failed(results))]
    return Answer({**about(service.model), "results": rows})


@routes.post(
    "/v1/similarity",
    response_model=SimilarityResponse,
    responses=refusals(Refusal, 422),
    openapi_extra=openapi_body(SimilarityRequest),
)
async def similarity(request: Request, service: TheService, client: TheClient) -> Answer:
    """Cosines of pictures and texts, or among either. A bad picture fails the request: a matrix has no holes."""
    asked, pictures = await read_request(request, SimilarityRequest, service.limits)
    if not pictures and not asked.texts:
        raise MalformedRequest("nothing to compare", hint="give images, texts or both")
    window = read_window(asked.window)
    columns = await service.embed_texts(asked.texts or [], client=client)
    items = all_good(await service.embed_images(dict(enumerate(pictures)), client=client, window=window))
    rows = np.stack([item.vector for item in items]) if items else columns
    cosines = rows @ (columns if asked.texts else rows).T
    return Answer({**about(service.model), "cosines": cosines.tolist()})


@routes.get("/v1/model", response_model=ModelResponse, responses=refusals(Refusal))
async def model(service: TheService) -> dict[str, Any]:
    """What the model is, takes and gives."""
    config = service.model.config
    return {
        **about(service.model),
        "embedding_size": config.dual.projection,
        "image_size": [config.preprocessing.height, config.preprocessing.width],
        "context_length": config.dual.text.context_length,
        "logit_scale": service.model.logit_scale,
        "engine": service.model.engine.name,
        "version": __version__,
    }


def _embedded(item: Embedded | Failed) -> dict[str, Any]:
    if isinstance(item, Failed):
        return {"index": item.index, "error": item_error(item.error, item.index)}
    return {
        "index": item.index,
        "vector": item.vector.tolist(),
        "frame_index": item.frame_index,
        "n_frames": item.n_frames,
    }


def _classified(index: int, result: Classification | Failed) -> dict[str, Any]:
    if isinstance(result, Failed):
        return {"index": index, "error": item_error(result.error, index)}
    return {
        "index": index,
        "labels": list(result.labels),
        "probabilities": list(result.probabilities),
        "n_frames": result.n_frames,
    }


def _not_all_failed(items: list[R | Failed], others: Sequence[Any] | Vector = ()) -> list[R | Failed]:
    """The items as they are. Raises ItemFailed for the first if none of these, or of what came beside, is good."""
    failed = [item for item in items if isinstance(item, Failed)]
    if failed and len(failed) == len(items) and not len(others):
        raise ItemFailed(failed[0])
    return items
