"""/v1/explain and the maps behind it: the same maps as `explain`, in turn, and given up when nobody waits."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image

import dualsight
from dualsight.errors import QueueFull, RequestTooLarge
from dualsight.image.open import read
from dualsight.image.reading import Reading
from dualsight.interface.explained import MethodName
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.maps import Maps
from dualsight.interface.http.metrics import Metrics
from dualsight.task.explain.explain import METHODS
from request_files import b64, picture_png

DATA = Path(__file__).parents[3] / "data" / "images"
CINE = DATA / "pydicom" / "SC_rgb_rle_2frame.dcm"
LABELS = ["pneumonia", "no finding"]

Ask = Callable[..., Any]


def explained(ask: Ask, **body: Any) -> Any:
    response = ask("POST", "/v1/explain", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_maps_are_those_of_python(ask: Ask, model: dualsight.Model) -> None:
    templates = ["x-ray chest {label}"]
    body = {"labels": LABELS, "templates": templates, "method": "grad-cam"}
    answer = explained(ask, images=[b64(picture_png(1))], **body)
    expected = dualsight.explain(
        model, picture_png(1), LABELS[0], against=LABELS[1], templates=templates, method="grad-cam"
    )
    first, second = answer["maps"]
    assert (first["label"], first["against"]) == ("pneumonia", ["no finding"])
    assert (second["label"], second["against"]) == ("no finding", ["pneumonia"])
    assert first["similarity"] == pytest.approx(expected.similarity, abs=1e-5)
    assert first["maximum"] == pytest.approx(float(expected.map.max()), rel=1e-3)
    row, column = divmod(int(expected.map.argmax()), expected.map.shape[1])
    assert first["hottest"] == {"x": column, "y": row}
    assert (answer["height"], answer["width"], answer["n_frames"]) == (40, 50, 1)
    assert answer["notice"] == model.notice
    overlay = Image.open(io.BytesIO(base64.b64decode(answer["overlay"])))
    assert overlay.format == "PNG" and overlay.width > 2 * 320


def test_a_frame_of_a_file_against_another_label(ask: Ask) -> None:
    form = {"labels": "pneumonia", "against": "no finding", "method": "token-shares", "frame_index": "0"}
    files = [("images", ("Doe^John.dcm", CINE.read_bytes(), "application/dicom"))]
    response = ask("POST", "/v1/explain", files=files, data=form)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["frame_index"], answer["n_frames"]) == (0, 2)
    assert [row["against"] for row in answer["maps"]] == [["no finding"]]
    assert "Doe" not in response.text
    middle = explained(ask, images=[b64(CINE.read_bytes())], labels=["a"], method="grad-cam")
    assert middle["frame_index"] == 1 and middle["maps"][0]["against"] == []


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"images": [], "labels": ["a"]}, 400, "0 images"),
        ({"images": [b64(picture_png(1))] * 2, "labels": ["a"]}, 400, "2 images"),
        ({"images": [b64(picture_png(1))]}, 400, "labels"),
        ({"images": [b64(picture_png(1))], "labels": []}, 400, "labels"),
        ({"images": [b64(picture_png(1))], "labels": ["a"], "method": "magic"}, 400, "method"),
        ({"images": [b64(picture_png(1))], "labels": ["a"], "against": "a"}, 422, "against itself"),
        ({"images": [b64(picture_png(1))], "labels": ["a", "a"]}, 422, "twice"),
        ({"images": [b64(picture_png(1))], "labels": ["a"], "frame_index": 1}, 422, "no frame 1"),
        ({"images": [b64(picture_png(1))], "labels": ["a"], "frame_index": -1}, 400, "frame_index"),
        ({"images": [b64(picture_png(1))], "labels": [f"label {i}" for i in range(9)]}, 413, "9 maps"),
        ({"images": [b64(picture_png(1))], "labels": ["a"], "templates": ["{label}"] * 2_001}, 413, "2,001 prompts"),
        ({"images": [b64(picture_png(1))], "labels": ["a" * 900], "templates": ["{label}" * 5]}, 413, "characters"),
        ({"images": ["aGVsbG8="], "labels": ["a"]}, 422, "image 0"),
    ],
)
def test_what_cannot_be_meant_is_told(ask: Ask, body: dict[str, Any], status: int, word: str) -> None:
    response = ask("POST", "/v1/explain", json=body)
    assert response.status_code == status, response.text
    assert word in response.json()["error"]["message"]


def test_the_contract_names_every_method() -> None:
    assert get_args(MethodName) == tuple(METHODS)


def run(model: dualsight.Model, work: Callable[[Maps], Any], **limits: Any) -> Any:
    async def whole() -> Any:
        maps = Maps(model, ServerLimits(**limits), Metrics())
        try:
            return await asyncio.wait_for(work(maps), 60)
        finally:
            await maps.close()

    return asyncio.run(whole())


def frame_of(picture: bytes) -> Any:
    return next(iter(read(picture, Reading(), source="image")))


@pytest.mark.parametrize("method", ["multi-scale", "occlusion"])
def test_a_map_that_nobody_waits_for_is_given_up(model: dualsight.Model, method: MethodName) -> None:
    frame = frame_of(picture_png(1))
    passes: list[int] = []  # through the first convolution: how many pictures
    first = next(module for module in model.checkpoint.model.modules() if isinstance(module, torch.nn.Conv2d))

    async def work(maps: Maps) -> None:
        await maps.explain(frame, ["a"], client="a", method=method)
        n_whole = sum(passes)
        leaving = asyncio.ensure_future(maps.explain(frame, ["a", "b"], client="a", method=method))
        while sum(passes) == n_whole:
            await asyncio.sleep(0.001)
        leaving.cancel()
        await asyncio.wait({leaving})
        assert maps._queue.n_admitted == 0
        (again,) = await maps.explain(frame, ["a"], client="b", method="grad-cam")
        assert sum(passes) - n_whole < 0.7 * n_whole
        assert np.isfinite(again.map).all()

    hook = first.register_forward_hook(lambda _, inputs, output: passes.append(len(output)))
    try:
        run(model, work)
    finally:
        hook.remove()


def test_prompts_that_nobody_waits_for_are_not_encoded(model: dualsight.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    left = threading.Event()
    went_on: list[str] = []

    def label_target(model: dualsight.Model, label: str, **_: Any) -> Any:
        left.wait(30)
        torch.zeros(1)
        went_on.append(label)

    monkeypatch.setattr("dualsight.interface.http.maps.label_target", label_target)

    async def work(maps: Maps) -> None:
        leaving = asyncio.ensure_future(maps.explain(frame_of(picture_png(1)), ["a"], client="a"))
        await asyncio.sleep(0.05)
        leaving.cancel()
        await asyncio.wait({leaving})
        left.set()
        await maps._queue.drain()

    run(model, work)
    assert went_on == []


def test_there_is_room_for_so_many_maps_and_so_many_pixels(model: dualsight.Model) -> None:
    frame = frame_of(picture_png(1))

    async def work(maps: Maps) -> None:
        two = [maps.explain(frame, ["a", "b"], client=client, method="grad-cam") for client in "xy"]
        answers = await asyncio.gather(*two, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == [QueueFull.__name__, "list"]
        with pytest.raises(RequestTooLarge, match="pixels of all maps"):
            await maps.explain(frame, ["a", "b", "c"], client="a", method="grad-cam")

    run(model, work, queued_maps=3, pixels=2 * 40 * 50)
