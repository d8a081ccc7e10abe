"""/v1/explain: where in a picture a label's similarity comes from, as numbers and as a picture."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from dualsight.errors import MalformedRequest
from dualsight.image.reading import Reading
from dualsight.interface.explained import MethodName, map_row, overlay_png
from dualsight.interface.http.answer import Answer
from dualsight.interface.http.asked import Refusal, Strict, TheClient, TheMaps, TheService, refusals
from dualsight.interface.http.fields import About, Images, Labels, Templates, WindowName, about
from dualsight.interface.http.form import openapi_body, read_request
from dualsight.interface.http.pictures import frames_of, one_frame, read_window

SOURCE = "image 0"


class ExplainRequest(Strict):
    """One picture, and what to explain: each label against `against`, or else against the other labels."""

    images: Images | None = None
    labels: Labels
    against: Annotated[str | None, Field(examples=["cardiomegaly"])] = None
    templates: Templates = ["{label}"]  # noqa: RUF012 - pydantic copies it
    method: MethodName = "multi-scale"
    frame_index: Annotated[int | None, Field(ge=0, description="from 0; the middle one without it")] = None
    window: WindowName = "auto"


class HeatMap(BaseModel):
    """What a map is about, and its statistics, in `unit`; `hottest` in pixels of the frame, from 0."""

    label: str
    against: list[str]
    similarity: float
    method: str
    grid: list[int]
    unit: str
    rest: float
    hottest: dict[str, int]
    maximum: float
    minimum: float
    mean: float


class ExplainResponse(About):
    """The frame that was explained, a map for each label, and a PNG (base64) of them over the frame."""

    frame_index: int
    n_frames: int
    height: int
    width: int
    maps: list[HeatMap]
    overlay: str


routes = APIRouter(tags=["dualsight"])


@routes.post(
    "/v1/explain",
    response_model=ExplainResponse,
    responses=refusals(Refusal, 422),
    openapi_extra=openapi_body(ExplainRequest),
)
async def explain(request: Request, service: TheService, maps: TheMaps, client: TheClient) -> Answer:
    """Heat maps of labels over a picture: what moves the model's answer, not what is there. Never a diagnosis."""
    asked, pictures = await read_request(request, ExplainRequest, service.limits)
    if len(pictures) != 1:
        raise MalformedRequest(f"{len(pictures)} images, and one is explained at a time")
    (picture,) = pictures
    reading = Reading(window=read_window(asked.window), limits=service.limits.image)
    frame = await service.run(
        "decode",
        lambda: one_frame(frames_of(picture, reading, source=SOURCE), asked.frame_index, source=SOURCE),
        client=client,
    )
    explanations = await maps.explain(
        frame,
        asked.labels,
        client=client,
        against=asked.against,
        templates=asked.templates,
        method=asked.method,
    )
    overlay = await service.run("draw", lambda: overlay_png(explanations), client=client)
    height, width = frame.pixels.shape[:2]
    answer: dict[str, Any] = {
        **about(service.model),
        "frame_index": frame.frame_index,
        "n_frames": frame.n_frames,
        "height": height,
        "width": width,
        "maps": [map_row(explanation) for explanation in explanations],
        "overlay": base64.b64encode(overlay).decode("ascii"),
    }
    return Answer(answer)
