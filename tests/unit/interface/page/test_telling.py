from __future__ import annotations

import logging

import pytest

from dualsight.errors import UnreadableImage
from dualsight.interface.page.telling import problem, telling


def test_an_answer_comes_without_a_problem() -> None:
    assert telling("nothing")(lambda x: (x,))(3) == ("", 3)


def test_an_error_of_ours_is_said_in_its_words_and_its_hint() -> None:
    @telling("nothing", None)
    def fails() -> tuple[str, None]:
        raise UnreadableImage("cut <off>", source="Doe & Co.dcm", hint="send it again")

    said, *rest = fails()
    assert rest == ["nothing", None]
    assert said == problem("Doe & Co.dcm: cut <off>", "send it again")
    assert 'role="alert"' in said and "Doe &amp; Co.dcm: cut &lt;off&gt;." in said and "send it again." in said


def test_a_mistake_of_ours_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    @telling()
    def fails() -> tuple[()]:
        raise ZeroDivisionError("secret")

    with caplog.at_level(logging.ERROR):
        (said,) = fails()
    assert "nobody has foreseen" in said and "secret" not in said and "Traceback" not in said
    assert "secret" in caplog.text
