from __future__ import annotations

import json

import pytest

from dualsight import errors
from dualsight.interface.http.errors import STATUS, code_of, refusal, status_of


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.MalformedRequest("x"), 400, "malformed_request"),
        (errors.KeyRefused("x"), 401, "key_refused"),
        (errors.RequestTooSlow("x"), 408, "request_too_slow"),
        (errors.RequestTooLarge("x"), 413, "request_too_large"),
        (errors.BodyTooLarge("x"), 413, "body_too_large"),
        (errors.TooManyImages("x"), 413, "too_many_images"),
        (errors.UnsupportedBody("x"), 415, "unsupported_body"),
        (errors.ImageTooLarge("x"), 422, "image_too_large"),
        (errors.TextError("x"), 422, "text_error"),
        (errors.QueueFull("x"), 429, "queue_full"),
        (errors.NotReady("x"), 503, "not_ready"),
        (errors.DeadlineExceeded("x"), 504, "deadline_exceeded"),
        (errors.EngineError("x"), 500, "engine_error"),
    ],
)
def test_each_kind_has_its_status(error: errors.DualsightError, status: int, code: str) -> None:
    assert (status_of(error), code_of(error)) == (status, code)
    assert refusal(error, "/v1/embed").status_code == status


def test_every_request_error_is_in_the_table() -> None:
    assert set(errors.RequestError.__subclasses__()) < set(STATUS)


def test_a_mistake_of_ours_is_not_described() -> None:
    body = bytes(refusal(errors.EngineError("/home/doe/weights"), "/v1/embed").body)
    assert b"doe" not in body


@pytest.mark.parametrize("error", [errors.QueueFull("full"), errors.NotReady("not yet")])
def test_who_should_come_back_is_told_when(error: errors.DualsightError) -> None:
    assert int(refusal(error, "/score").headers["retry-after"]) >= 1


def test_each_contract_has_its_shape() -> None:
    error = errors.UnreadableImage("empty", source="image 2", hint="send one")
    bodies = {path: json.loads(refusal(error, path, index=2).body) for path in ("/predict", "/v1/embeddings", "/score")}
    assert bodies["/predict"] == {"detail": "image 2: empty; send one"}
    assert bodies["/v1/embeddings"] == {
        "error": {
            "message": "image 2: empty",
            "type": "invalid_request_error",
            "param": "input[2]",
            "code": "unreadable_image",
        }
    }
    assert bodies["/score"] == {
        "error": {
            "code": "unreadable_image",
            "message": "image 2: empty",
            "details": {"hint": "send one", "index": 2},
        }
    }
