"""Azure Machine Learning's scoring contract: /score, as Microsoft's MedImageInsight deployment answers it.

{"input_data": {"columns", "index", "data"}, "params"} ──▶ an array, one object a row
started with an adapter: one list a row, of {"label", "score"} by falling score
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import Field, model_validator
from pydantic.config import JsonDict

from dualsight.errors import MalformedRequest
from dualsight.interface.http.answer import Answer
from dualsight.interface.http.asked import Lenient, Refusal, TheClient, TheService, all_good, refusals
from dualsight.interface.http.fields import GREY_PNG
from dualsight.interface.http.pictures import Standardisation
from dualsight.interface.http.service import Service

if TYPE_CHECKING:
    from dualsight.learn.adapt.adapter import Adapter  # needs scikit-learn, a server without adapter does not


_DISTINCT: JsonDict = {"uniqueItems": True}


class Table(Lenient):
    """Rows of pictures (base64, line breaks allowed) and texts; null and "" are none."""

    columns: Annotated[list[Literal["image", "text"]], Field(min_length=1, max_length=2, json_schema_extra=_DISTINCT)]
    index: list[int | str] | None = None
    data: list[list[str | None]]

    @model_validator(mode="after")
    def _rows_fit(self) -> Table:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("a column comes twice")
        if self.index is not None and len(self.index) != len(self.data):
            raise ValueError(f"{len(self.index)} index entries for {len(self.data)} rows")
        for i, row in enumerate(self.data):
            if len(row) != len(self.columns):
                raise ValueError(f"row {i} has {len(row)} cells for {len(self.columns)} columns")
        return self

    def column(self, name: Literal["image", "text"]) -> dict[int, str]:
        """Row → cell, of the rows that have one."""
        if name not in self.columns:
            return {}
        place = self.columns.index(name)
        return {i: cell for i, row in enumerate(self.data) if (cell := row[place])}


class Params(Lenient):
    """What is done to pictures first. The scaling factor is always sent."""

    get_scaling_factor: bool | None = None
    image_standardization_jpeg_compression_ratio: Annotated[int, Field(ge=1, le=100)] | None = None
    image_standardization_image_size: Annotated[int, Field(ge=1, le=4096)] | None = None


class ScoreRequest(Lenient):
    """A table of pictures and texts."""

    input_data: Annotated[
        Table, Field(examples=[{"columns": ["image", "text"], "index": [0], "data": [[GREY_PNG, "x-ray chest"]]}])
    ]
    params: Params | None = None


routes = APIRouter(tags=["Azure"])


@routes.post("/score", response_model=list[dict[str, Any]], responses=refusals(Refusal, 422))
async def score(body: ScoreRequest, request: Request, service: TheService, client: TheClient) -> Answer:
    """Embeddings of each row's picture and text; with an adapter, its labels by falling score."""
    images = body.input_data.column("image")
    adapter: Adapter | None = request.app.state.adapter
    if adapter is not None:
        _check_pictures(body.input_data, images)
    params = body.params or Params()
    standard = Standardisation(
        size=params.image_standardization_image_size,
        jpeg_quality=params.image_standardization_jpeg_compression_ratio,
    )
    embedded = all_good(await service.embed_images(images, client=client, standard=standard))
    vectors = {item.index: item.vector for item in embedded}
    if adapter is not None:
        return Answer(await service.run("adapt", partial(_scores, vectors, adapter), client=client))
    return Answer(await _features(body.input_data, vectors, service, client))


async def _features(table: Table, vectors: dict[int, Any], service: Service, client: str) -> list[dict[str, Any]]:
    """A row's features: the picture's in a list of one, the text's not, and the scaling factor as a logarithm."""
    texts = table.column("text")
    rows = await service.embed_texts(list(texts.values()), client=client)
    text_vectors = dict(zip(texts, rows, strict=True))
    answers: list[dict[str, Any]] = []
    for row in range(len(table.data)):
        answer: dict[str, Any] = {}
        if row in vectors:
            answer["image_features"] = [vectors[row].tolist()]
        if row in text_vectors:
            answer["text_features"] = text_vectors[row].tolist()
        answers.append({**answer, "scaling_factor": service.model.logit_scale})
    return answers


def _check_pictures(table: Table, images: dict[int, str]) -> None:
    """Raises MalformedRequest for a row without a picture, before those of others cost anything."""
    for row in range(len(table.data)):
        if row not in images:
            raise MalformedRequest(f"row {row} has no image, and this server classifies images")


def _scores(vectors: dict[int, Any], adapter: Adapter) -> list[list[dict[str, Any]]]:
    """A row's labels by falling score."""
    if not vectors:
        return []
    probabilities = adapter.predict_proba(np.stack([vectors[row] for row in sorted(vectors)]))
    return [
        [{"label": adapter.labels[i], "score": float(row[i])} for i in np.argsort(-row, kind="stable")]
        for row in probabilities
    ]
