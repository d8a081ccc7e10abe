"""The questions, answered by a function instead of a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dualsight.errors import (
    ConfigError,
    DualsightError,
    ImageError,
    ImageTooLarge,
    ServiceError,
    TextError,
    UnreadableImage,
)
from dualsight.image.reading import Reading
from dualsight.interface.client.calls import TEXTS_A_REQUEST, Calls
from dualsight.interface.client.exchange import Done, Exchange, Reply, Request, advance
from dualsight.interface.client.upload import batches
from dualsight.task.embed import Embedded, Failed

READING = Reading()
Answer = Callable[[Request], tuple[int, Any]]
ABOUT = {"model": "m", "fingerprint": "f1", "notice": ""}


def answered(exchange: Exchange[Any], answer: Answer) -> Any:
    reply: Reply | None = None
    while not isinstance(step := advance(exchange, reply), Done):
        status, document = answer(step)
        reply = Reply(status=status, retry_after=None, body=json.dumps(document).encode())
    return step.value


def refusal(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "details": {"hint": "mend it"}}}


def row(index: int, value: float) -> dict[str, Any]:
    return {"index": index, "vector": [value, 0.0], "frame_index": None, "n_frames": 1}


def pictures(*contents: bytes) -> Any:
    (batch,) = batches(list(contents), 64)
    return batch


@pytest.fixture
def calls() -> Calls:
    return Calls("http://here", patience_s=0)


def picky(request: Request) -> tuple[int, Any]:
    """Files of one number each: gives it back; refuses more than three files, and -1; all bad is 422."""
    values = [float(content) for content in request.files]
    if len(values) > 3:
        return 413, refusal("body_too_large", "too much")
    bad = refusal("unreadable_image", "image {}: damaged")["error"]
    rows = [
        {"index": i, "error": bad | {"message": f"image {i}: damaged"}} if value < 0 else row(i, value)
        for i, value in enumerate(values)
    ]
    if all(value < 0 for value in values):
        return 422, {"error": rows[0]["error"]}
    return 200, {**ABOUT, "images": rows[::-1], "texts": []}


@pytest.mark.parametrize("values", [(1, 2, 3), (1, -1, 3), (-1, -1, -1), (-1,), tuple(range(9)), (-1,) * 7 + (5,)])
def test_each_picture_has_its_own_answer_in_its_place(calls: Calls, values: tuple[int, ...]) -> None:
    batch = pictures(*(str(value).encode() for value in values))
    results = answered(calls.embed(batch, per="image", reading=READING), picky)
    assert [item.index for item in results] == list(range(len(values)))
    for value, item in zip(values, results, strict=True):
        if value < 0:
            assert isinstance(item, Failed) and type(item.error) is UnreadableImage
            assert str(item.error) == f"image {item.index}: damaged" and item.error.hint == "mend it"
        else:
            assert isinstance(item, Embedded) and item.vector.tolist() == [value, 0]


def test_one_picture_that_is_too_large_fails_alone(calls: Calls) -> None:
    def answer(request: Request) -> tuple[int, Any]:
        if any(len(content) > 3 for content in request.files):
            return 413, refusal("body_too_large", "a body of 9 bytes")
        return 200, {**ABOUT, "images": [row(i, 1) for i in range(len(request.files))]}

    first, second, third = answered(calls.embed(pictures(b"a", b"longer", b"b"), per="image", reading=READING), answer)
    assert isinstance(first, Embedded) and isinstance(third, Embedded)
    assert isinstance(second, Failed) and isinstance(second.error, ImageTooLarge)
    assert str(second.error) == "image 1: a body of 9 bytes"


def test_too_many_labels_are_no_pictures_fault(calls: Calls) -> None:
    asked = []

    def answer(request: Request) -> tuple[int, Any]:
        asked.append(request)
        return 413, refusal("request_too_large", "1,001 labels are more than the limit of 1,000")

    labels = [f"label {i}" for i in range(1_001)]
    batch = pictures(b"1", b"2", b"3")
    exchange = calls.classify(batch, labels, multilabel=False, templates=["{label}"], reading=READING)
    with pytest.raises(ServiceError, match="413: 1,001 labels are more") as caught:
        answered(exchange, answer)
    assert (len(asked), caught.value.code, caught.value.hint) == (1, "request_too_large", "mend it")
    asked.clear()
    options: Any = {"against": None, "templates": ["{label}"], "method": "grad-cam", "frame_index": None}
    with pytest.raises(ServiceError, match="1,001 labels"):
        answered(calls.explain(b"1", labels, **options, reading=READING), answer)
    assert len(asked) == 1


def test_one_picture_that_is_too_large_to_be_explained(calls: Calls) -> None:
    options: Any = {"against": None, "templates": ["{label}"], "method": "grad-cam", "frame_index": None}
    exchange = calls.explain(b"1", ["a"], **options, reading=READING)
    with pytest.raises(ImageTooLarge, match="a body of 9 bytes"):
        answered(exchange, lambda request: (413, refusal("body_too_large", "a body of 9 bytes")))


def test_frames_of_a_file_stay_together(calls: Calls) -> None:
    def answer(request: Request) -> tuple[int, Any]:
        assert request.fields["per"] == ["frame"]
        rows = [row(0, frame) | {"frame_index": frame, "n_frames": 2} for frame in range(2)]
        return 200, {**ABOUT, "images": [*rows, row(1, 9)]}

    results = answered(calls.embed(pictures(b"a", b"b"), per="frame", reading=READING), answer)
    assert [(item.index, item.frame_index) for item in results] == [(0, 0), (0, 1), (1, None)]


def test_what_failed_here_is_not_sent(calls: Calls) -> None:
    batch = next(batches(["/no/such/file", b"1"], 8))
    here, there = answered(calls.embed(batch, per="image", reading=READING), picky)
    assert isinstance(here, Failed) and isinstance(there, Embedded) and there.index == 1

    def nobody(request: Request) -> tuple[int, Any]:
        raise AssertionError("asked")

    assert len(answered(calls.embed(batch[:1], per="image", reading=READING), nobody)) == 1


@pytest.mark.parametrize("reading", [Reading(plane="coronal"), Reading(step_mm=1), Reading(square_pixels=True)])
def test_of_a_reading_only_the_window_travels(calls: Calls, reading: Reading) -> None:
    with pytest.raises(ConfigError, match="window"):
        answered(calls.embed(pictures(b"1"), per="image", reading=reading), picky)


@pytest.mark.parametrize(("window", "sent"), [("auto", None), ("lung", ["lung"]), ((40, 400.5), ["40,400.5"])])
def test_a_window_is_sent_as_the_server_reads_it(calls: Calls, window: Any, sent: Any) -> None:
    def answer(request: Request) -> tuple[int, Any]:
        assert request.fields.get("window") == sent
        return picky(request)

    answered(calls.embed(pictures(b"1"), per="image", reading=Reading(window=window)), answer)


def test_series_are_not_for_servers(calls: Calls) -> None:
    with pytest.raises(ConfigError, match="'series'"):
        answered(calls.embed(pictures(b"1"), per="series", reading=READING), picky)  # type: ignore[arg-type]


def test_texts_go_some_hundreds_at_a_time_and_stay_in_order(calls: Calls) -> None:
    sizes = []

    def answer(request: Request) -> tuple[int, Any]:
        assert request.document is not None
        texts: Any = request.document["texts"]
        sizes.append(len(texts))
        return 200, {**ABOUT, "texts": [{"index": i, "vector": [float(text)]} for i, text in enumerate(texts)][::-1]}

    n = TEXTS_A_REQUEST + 5
    vectors = answered(calls.encode_text([str(i) for i in range(n)]), answer)
    assert sizes == [TEXTS_A_REQUEST, 5]
    np.testing.assert_array_equal(vectors, np.arange(n, dtype=np.float32)[:, None])
    with pytest.raises(TextError, match="text 1 is int"):
        answered(calls.encode_text(["a", 3]), answer)  # type: ignore[list-item]


def test_labels_are_checked_before_anything_is_sent(calls: Calls) -> None:
    for labels, templates in (([], ["{label}"]), (["a", "a"], ["{label}"]), (["a"], ["x"])):
        with pytest.raises(TextError):
            answered(
                calls.classify(pictures(b"1"), labels, multilabel=False, templates=templates, reading=READING), picky
            )


def test_another_model_in_the_middle_of_it_is_an_error(calls: Calls) -> None:
    def other(request: Request) -> tuple[int, Any]:
        return 200, {**ABOUT, "fingerprint": "f2", "images": [row(0, 1)]}

    batch = pictures(b"1")
    answered(calls.embed(batch, per="image", reading=READING), picky)
    with pytest.raises(ServiceError, match="another model than before"):
        answered(calls.embed(batch, per="image", reading=READING), other)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {**ABOUT},
        {**ABOUT, "images": None},
        {**ABOUT, "images": []},
        {**ABOUT, "images": [{}]},
        {**ABOUT, "images": [3]},
        {**ABOUT, "images": [row(1, 1)]},
        {**ABOUT, "images": [row(-1, 1)]},
        {**ABOUT, "images": [row(0, 1) | {"vector": "abc"}]},
        {**ABOUT, "images": [row(0, 1) | {"n_frames": None}]},
        {**ABOUT, "images": [{"index": 0, "error": "bad"}]},
    ],
)
def test_an_answer_of_another_form_is_a_service_error(calls: Calls, answer: Any) -> None:
    with pytest.raises(ServiceError, match="not of the form"):
        answered(calls.embed(pictures(b"1"), per="image", reading=READING), lambda request: (200, answer))


@pytest.mark.parametrize("status", [400, 401, 404, 500, 504])
def test_other_refusals_stop_everything(calls: Calls, status: int) -> None:
    asked = []

    def answer(request: Request) -> tuple[int, Any]:
        asked.append(request)
        return status, refusal("x", "no")

    with pytest.raises(ServiceError, match=f"{status}: no"):
        answered(calls.embed(pictures(b"1", b"2"), per="image", reading=READING), answer)
    assert len(asked) == 1


def test_on_error_means_what_it_means_for_a_model(calls: Calls) -> None:
    def ask(on_error: Any) -> Any:
        exchange = calls.encode_image(
            [b"1", b"-1", b"2"], on_error=on_error, per="image", reading=READING, batch_size=2
        )
        return answered(exchange, picky)

    with pytest.raises(UnreadableImage):
        ask("raise")
    assert ask("skip").tolist() == [[1, 0], [2, 0]]
    assert [isinstance(item, ImageError) for item in ask("return")] == [False, True, False]
    with pytest.raises(DualsightError, match="on_error"):
        ask("ignore")


def test_nothing_at_all_has_the_model_s_width(calls: Calls) -> None:
    def answer(request: Request) -> tuple[int, Any]:
        assert request.path == "/v1/model"
        size = {"embedding_size": 7, "image_size": [3, 4], "context_length": 5, "logit_scale": 1.5}
        return 200, {**ABOUT, **size, "engine": "e", "version": "v"}

    assert answered(calls.encode_text([]), answer).shape == (0, 7)
    none = calls.encode_image([], on_error="raise", per="image", reading=READING, batch_size=8)
    assert answered(none, answer).shape == (0, 7)
    with pytest.raises(DualsightError, match="needs images, texts or both"):
        answered(calls.similarity(None, None, reading=READING, batch_size=8), answer)
