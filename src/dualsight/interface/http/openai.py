"""OpenAI's embeddings contract: /v1/embeddings and /v1/models. Pictures come as data URLs; no address is fetched."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from dualsight.errors import MalformedRequest, UnsupportedImage
from dualsight.interface.http.answer import Answer
from dualsight.interface.http.asked import ItemFailed, Lenient, TheClient, TheService, all_good, refusals
from dualsight.interface.http.errors import refusal_of
from dualsight.interface.http.fields import GREY_PNG
from dualsight.task.embed import Failed


class TextPart(Lenient):
    """A text."""

    type: Literal["text"]
    text: str


class ImageUrl(Lenient):
    """A picture inside its own address."""

    url: Annotated[str, Field(examples=[f"data:image/png;base64,{GREY_PNG}"])]


class ImagePart(Lenient):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class EmbeddingsRequest(Lenient):
    """Texts and pictures, each embedded by itself."""

    model: Annotated[str, Field(examples=["demo"])]
    input: Annotated[
        str | Annotated[list[str | Part], Field(min_length=1)], Field(examples=[["x-ray chest pneumonia"]])
    ]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class Embedding(BaseModel):
    """A vector of unit length: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens of the texts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """In the order of the input."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class OpenaiProblem(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenaiRefusal(BaseModel):
    """An answer that is no answer."""

    error: OpenaiProblem


routes = APIRouter(tags=["OpenAI"])


@routes.post("/v1/embeddings", response_model=EmbeddingsResponse, responses=refusals(OpenaiRefusal, 404, 422))
async def embeddings(body: EmbeddingsRequest, service: TheService, client: TheClient) -> JSONResponse:
    """Embeddings of texts and pictures."""
    if body.model != service.model.name:
        message = f"there is no model {body.model[:64]!r} here, but {service.model.name!r}"
        return refusal_of(404, "model_not_found", message, "/v1/embeddings", {})
    if body.dimensions not in (None, service.model.config.dual.projection):
        raise MalformedRequest("dimensions cannot be chosen: the vectors are not made to be cut")
    parts = [body.input] if isinstance(body.input, str) else body.input
    texts = {
        i: part if isinstance(part, str) else part.text
        for i, part in enumerate(parts)
        if not isinstance(part, ImagePart)
    }
    pictures = {i: part.image_url.url for i, part in enumerate(parts) if isinstance(part, ImagePart)}
    for i, url in pictures.items():
        if not url.startswith("data:"):
            error = UnsupportedImage(
                "not a data URL", source=f"image {i}", hint="no address is fetched: send its bytes"
            )
            raise ItemFailed(Failed(index=i, source=error.source, error=error))
    vectors = dict(zip(texts, await service.embed_texts(list(texts.values()), client=client), strict=True))
    vectors |= {item.index: item.vector for item in all_good(await service.embed_images(pictures, client=client))}
    n_tokens = await service.count_tokens(list(texts.values()), client=client)
    data = [
        {"object": "embedding", "index": i, "embedding": _encoded(vectors[i], body.encoding_format)}
        for i in range(len(parts))
    ]
    usage = {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
    return Answer({"object": "list", "data": data, "model": service.model.name, "usage": usage})


@routes.get("/v1/models", responses=refusals(OpenaiRefusal))
async def models(service: TheService) -> dict[str, Any]:
    """The one model."""
    entry = {"id": service.model.name, "object": "model", "created": 0, "owned_by": "dualsight"}
    return {"object": "list", "data": [entry]}


def _encoded(vector: NDArray[np.float32], form: Literal["float", "base64"]) -> list[float] | str:
    if form == "float":
        return [float(number) for number in vector]
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
