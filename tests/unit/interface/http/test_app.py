"""The application as a whole: what every route has in common."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

import dualsight
from dualsight.errors import AdapterError, ConfigError, RequestTooLarge
from dualsight.interface.http.app import Settings, create_app
from dualsight.interface.http.limits import ServerLimits, room_for
from request_files import b64, picture_png

Ask = Callable[..., Any]
Start = Callable[[Settings], AbstractContextManager[Ask]]


def test_before_the_model_is_there_nothing_is_promised() -> None:
    async def work() -> None:
        transport = httpx2.ASGITransport(create_app(Settings()))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/livez")).status_code == 200
            for path in ("/readyz", "/health", "/v1/model"):
                response = await client.get(path)
                assert response.status_code == 503 and response.headers["retry-after"]

    asyncio.run(work())


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/v1/embed", 405)])
def test_what_is_not_there(ask: Ask, method: str, path: str, status: int) -> None:
    response = ask(method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"code", "message", "details"}
    assert (status == 405) == ("allow" in response.headers)


def test_a_mistake_of_ours_is_answered_counted_and_logged_like_any_request(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def about(_: dualsight.Model) -> dict[str, str]:
        raise RuntimeError("TOP-SECRET")

    monkeypatch.setattr("dualsight.interface.http.own.about", about)
    caplog.set_level(logging.INFO, "dualsight")
    response = ask("GET", "/v1/model", headers={"x-request-id": "one"})
    assert response.status_code == 500 and "TOP-SECRET" not in response.text
    assert response.json()["error"]["code"] == "internal_error"
    assert response.headers["x-request-id"] == "one" and response.headers["x-content-type-options"] == "nosniff"
    assert 'dualsight_requests_total{route="/v1/model",status="500"} 1.0' in ask("GET", "/metrics").text
    (line,) = (record for record in caplog.records if getattr(record, "fields", {}).get("request_id") == "one")
    assert (line.message, getattr(line, "fields")["status"]) == ("answered", 500)  # noqa: B009 - mypy knows no fields


def test_numbers_name_no_client(ask: Ask) -> None:
    ask("GET", "/nowhere/Doe")
    ask("POST", "/v1/embed", json={"images": [b64(picture_png(1)), ""]})
    page = ask("GET", "/metrics").text
    assert 'dualsight_requests_total{route="none",status="404"}' in page
    for stage in ("receive", "decode", "wait", "encode"):
        assert f'dualsight_stage_seconds_count{{stage="{stage}"}}' in page
        assert f'dualsight_stage_seconds_bucket{{le="0.1",stage="{stage}"}}' in page
    assert 'dualsight_request_seconds_bucket{le="10.0",route="/v1/embed"}' in page
    assert 'dualsight_batch_size_bucket{kind="image",le="32.0"}' in page
    assert 'dualsight_items_in_hand{kind="image"} 0.0' in page
    assert 'dualsight_item_errors_total{code="unreadable_image"}' in page
    assert "Doe" not in page and "127.0.0.1" not in page


def test_openapi_has_every_route_and_no_page_that_loads_scripts(ask: Ask) -> None:
    document = ask("GET", "/openapi.json").json()
    ours = {f"/v1/{name}" for name in ("embed", "classify", "similarity", "search", "explain", "model")}
    theirs = {"/predict", "/encode", "/health", "/score", "/v1/embeddings", "/v1/models"}
    assert set(document["paths"]) == ours | theirs | {"/livez", "/readyz", "/metrics"}
    assert set(document["paths"]["/v1/embed"]["post"]["requestBody"]["content"]) == {
        "application/json",
        "multipart/form-data",
    }
    assert ask("GET", "/docs").status_code == 404


def test_no_library_is_told_of_requests(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    async def told(*_: object) -> None:
        raise AssertionError("told")

    monkeypatch.setattr("fastapi.telemetry._asgi.NativeTelemetry.__call__", told)
    assert ask("GET", "/livez").status_code == 200
    assert ask("POST", "/v1/embed", json={"texts": 1}).status_code == 400


def test_every_example_of_openapi_is_answered(ask: Ask) -> None:
    document = ask("GET", "/openapi.json").json()

    def example(schema: dict[str, Any]) -> Any:
        """The first example; of an object, those of its properties; None where there is none."""
        if "examples" in schema:
            return schema["examples"][0]
        if "$ref" in schema:
            return example(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return next(filter(None, map(example, schema["anyOf"])), None)
        parts = {name: example(part) for name, part in schema.get("properties", {}).items()}
        return {name: part for name, part in parts.items() if part is not None} or None

    asked = []
    for path, operations in document["paths"].items():
        if "post" in operations:
            body = example(operations["post"]["requestBody"]["content"]["application/json"]["schema"])
            response = ask("POST", path, json=body)
            assert response.status_code == (404 if path == "/v1/search" else 200), f"{path} {response.text[:500]}"
            asked.append(path)
    assert len(asked) == 9 and "/v1/explain" in asked


def test_an_adapter_answers_score(model: dualsight.Model, start: Start, tmp_path: Path) -> None:
    from dualsight.learn.adapt import LinearProbe
    from dualsight.learn.adapt.adapter import Adapter
    from dualsight.learn.adapt.file import save_adapter

    pictures = [picture_png(seed) for seed in range(6)]
    vectors = model.encode_image(pictures)
    head = LinearProbe().fit(vectors, [0, 1, 2, 0, 1, 2])
    made = Adapter(
        kind="linear",
        head=head,
        labels=("a", "b", "c"),
        model=model.name,
        fingerprint=model.fingerprint,
        thresholds={},
    )
    path = tmp_path / "adapter.safetensors"
    save_adapter(made, path)
    with start(Settings(adapter=path)) as ask:
        table = {"columns": ["image"], "data": [[b64(picture)] for picture in pictures[:2]]}
        rows = ask("POST", "/score", json={"input_data": table}).json()
        wanted = made.predict_proba(vectors[:2])
        for row, scores in zip(rows, wanted, strict=True):
            got = {entry["label"]: entry["score"] for entry in row}
            assert got == pytest.approx(dict(zip("abc", scores, strict=True)), abs=1e-4)
            assert np.all(np.diff([entry["score"] for entry in row]) <= 0)
        empty = {"columns": ["image", "text"], "data": [[None, "a"]]}
        assert ask("POST", "/score", json={"input_data": empty}).status_code == 400
        late = {"columns": ["image"], "data": [[b64(pictures[0][:60])], [None]]}  # told before a picture is opened
        assert ask("POST", "/score", json={"input_data": late}).status_code == 400
        assert 'dualsight_stage_seconds_count{stage="adapt"} 1.0' in ask("GET", "/metrics").text
    save_adapter(replace(made, fingerprint="0" * 64), path)
    with pytest.raises(AdapterError, match="made for the model"), start(Settings(adapter=path)):
        pass


@pytest.mark.parametrize(
    "limits",
    [{"images": 300}, {"deadline_s": 0}, {"deadline_s": math.inf}, {"deadline_s": math.nan}, {"body_bytes": 1 << 40}],
)
def test_limits_that_cannot_be_meant(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ServerLimits(**limits)


@pytest.mark.parametrize("mib", [1, 64, 128, 2048])
def test_there_is_room_for_several_bodies(mib: int) -> None:
    limits = ServerLimits(body_bytes=mib << 20, bodies_bytes=room_for(mib << 20))
    assert limits.bodies_bytes == max(512, 4 * mib) << 20


def test_prompts_are_counted_before_they_are_filled_in() -> None:
    limits = ServerLimits(texts=6, text_characters=12)
    limits.check_prompts(["abc", "abcde"], ["a {label}", "{label}{label}", "no"])
    for labels, templates, problem in (
        (["a", "b"], ["{label}"] * 4, "8 prompts"),
        (["abcdef", "a"], ["{label}{label} "], "13 characters"),
        (["a"], ["a {label} of twelve"], "13 characters"),
    ):
        with pytest.raises(RequestTooLarge, match=problem):
            limits.check_prompts(labels, templates)
