"""The open re-host's contract (lion-ai): /predict, /encode, /health. A bad picture fails its whole request."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from dualsight.interface.http.answer import Answer
from dualsight.interface.http.asked import Lenient, TheClient, TheService, all_good, refusals
from dualsight.interface.http.fields import Images, Labels, Texts


class PredictRequest(Lenient):
    """Pictures, and what to choose from."""

    images: Annotated[Images, Field(min_length=1)]
    labels: Labels
    multilabel: bool = False


class PredictResponse(BaseModel):
    """Of each picture, label → probability, falling."""

    predictions: list[dict[str, float]]


class EncodeRequest(Lenient):
    """Pictures, texts, or both."""

    images: Images | None = None
    texts: Texts | None = None


class EncodeResponse(BaseModel):
    """A vector of unit length for each; null for what was not given."""

    image_embeddings: list[list[float]] | None
    text_embeddings: list[list[float]] | None


class Detail(BaseModel):
    """What went wrong."""

    detail: str


class Health(BaseModel):
    """That the server answers."""

    status: str


routes = APIRouter(tags=["lion-ai"])


@routes.post("/predict", response_model=PredictResponse, responses=refusals(Detail, 422))
async def predict(body: PredictRequest, service: TheService, client: TheClient) -> Answer:
    """Probabilities of labels for pictures. Never a diagnosis."""
    results = all_good(await service.classify(body.images, body.labels, client=client, multilabel=body.multilabel))
    return Answer({"predictions": [result.as_dict() for result in results]})


@routes.post("/encode", response_model=EncodeResponse, responses=refusals(Detail, 422))
async def encode(body: EncodeRequest, service: TheService, client: TheClient) -> Answer:
    """Embeddings of pictures and texts."""
    images = texts = None
    if body.images is not None:
        embedded = all_good(await service.embed_images(dict(enumerate(body.images)), client=client))
        images = [item.vector.tolist() for item in embedded]
    if body.texts is not None:
        texts = (await service.embed_texts(body.texts, client=client)).tolist()
    return Answer({"image_embeddings": images, "text_embeddings": texts})


@routes.get("/health", response_model=Health, responses=refusals(Detail))
async def health(service: TheService) -> dict[str, str]:
    """Healthy, once the model is loaded."""
    return {"status": "healthy"}
