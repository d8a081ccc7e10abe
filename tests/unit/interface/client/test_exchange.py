from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualsight.errors import ServiceError, TextError
from dualsight.interface.client.exchange import Done, Reply, Request, advance, ask

SERVICE = "http://127.0.0.1:1"
QUESTION = Request(path="/v1/embed", document={"texts": ["chest"]})


def reply(status: int, document: object = None, *, retry_after: str | None = None) -> Reply:
    return Reply(status=status, retry_after=retry_after, body=json.dumps(document).encode())


def refusal(code: str, message: str, hint: str = "") -> dict[str, object]:
    return {"error": {"code": code, "message": message, "details": {"hint": hint}}}


def asked(*replies: Reply, patience_s: float = 60.0) -> tuple[object, list[float]]:
    """The result, and how long was waited before each request."""
    exchange = ask(QUESTION, service=SERVICE, patience_s=patience_s)
    waits: list[float] = []
    last: Reply | None = None
    left = list(replies)
    while not isinstance(step := advance(exchange, last), Done):
        assert step.document == QUESTION.document
        waits.append(step.wait_s)
        last = left.pop(0)
    assert not left
    return step.value, waits


def test_the_answer_is_the_server_s_object() -> None:
    assert asked(reply(200, {"a": 1})) == ({"a": 1}, [0.0])


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(status: int) -> None:
    answer, waits = asked(reply(status, retry_after="2"), reply(status, retry_after="3"), reply(200, {}))
    assert answer == {} and waits == [0.0, 2.0, 3.0]


def test_a_date_is_waited_for() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    _, waits = asked(reply(503, retry_after=when), reply(200, {}))
    assert 15 < waits[1] <= 20
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert asked(reply(503, retry_after=past), reply(200, {}))[1] == [0.0, 0.0]


@pytest.mark.parametrize("word", ["0", format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)])
def test_at_once_said_again_and_again_is_not_asked_without_end(word: str) -> None:
    busy = reply(503, refusal("not_ready", "no model"), retry_after=word)
    answer, waits = asked(*[busy] * 3, reply(200, {}))
    assert answer == {} and waits[:2] == [0.0, 0.0] and min(waits[2:]) > 0
    with pytest.raises(ServiceError, match="503: no model"):
        asked(*[busy] * 40)


@given(st.one_of(st.none(), st.text()))
def test_without_a_usable_word_pauses_grow_and_are_bounded(word: str | None) -> None:
    if word is not None and word.strip().isdecimal():
        return
    _, waits = asked(*[reply(503, retry_after=word)] * 7, reply(200, {}))
    assert waits[0] == 0
    for attempt, pause in enumerate(waits[1:]):
        most = min(8.0, 0.5 * 2**attempt)
        assert most / 2 <= pause <= most


def test_patience_ends_before_a_pause_that_is_too_long() -> None:
    busy = reply(429, refusal("queue_full", "the queue is full"), retry_after="4")
    with pytest.raises(ServiceError, match="429: the queue is full") as caught:
        asked(busy, busy, busy, patience_s=10)
    assert (caught.value.status, caught.value.code) == (429, "queue_full")
    with pytest.raises(ServiceError):
        asked(reply(503, retry_after="9" * 30), patience_s=10)
    with pytest.raises(ServiceError):
        asked(busy, patience_s=0)


def test_a_refused_key_is_not_tried_again() -> None:
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:1: the server answers 401: no key") as caught:
        asked(reply(401, refusal("key_refused", "no key")))
    assert "DUALSIGHT_KEY" in caught.value.hint


def test_what_is_not_found_is_told_in_the_servers_words() -> None:
    with pytest.raises(ServiceError, match="404: no index") as caught:
        asked(reply(404, refusal("not_offered", "no index", "start it with --db DIR")))
    assert caught.value.hint == "start it with --db DIR"
    with pytest.raises(ServiceError) as caught:
        asked(reply(404, refusal("not_found", "nothing here")))
    assert "dualsight serve" in caught.value.hint
    with pytest.raises(ServiceError) as caught:
        asked(reply(401, refusal("key_refused", "no key", "send the header Authorization: Bearer KEY")))
    assert "DUALSIGHT_KEY" in caught.value.hint


def test_a_refused_text_is_a_text_error() -> None:
    with pytest.raises(TextError, match="label 0 is blank") as caught:
        asked(reply(422, refusal("text_error", "label 0 is blank", "say something")))
    assert caught.value.hint == "say something"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"error": 3}'])
def test_any_body_of_a_refusal_is_a_service_error(body: bytes) -> None:
    with pytest.raises(ServiceError, match="502: no reason given"):
        asked(Reply(status=502, retry_after=None, body=body))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_object_is_a_service_error(body: bytes) -> None:
    with pytest.raises(ServiceError, match="no JSON object"):
        asked(Reply(status=200, retry_after=None, body=body))
