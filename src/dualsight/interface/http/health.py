"""For those who run the server: /livez, /readyz and /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dualsight.interface.http.asked import Refusal, TheService, refusals
from dualsight.interface.http.metrics import Metrics

routes = APIRouter(tags=["health"])


@routes.get("/livez", responses=refusals(Refusal))
async def livez() -> dict[str, str]:
    """That the process answers."""
    return {"status": "alive"}


@routes.get("/readyz", responses=refusals(Refusal))
async def readyz(service: TheService) -> dict[str, str]:
    """That the model is loaded and warm."""
    return {"status": "ready"}


@routes.get("/metrics", response_class=Response, responses=refusals(Refusal))
async def metrics(request: Request) -> Response:
    """Counts and latencies in Prometheus' text format."""
    numbers: Metrics = request.app.state.metrics
    return Response(numbers.page(), media_type="text/plain; version=0.0.4; charset=utf-8")
