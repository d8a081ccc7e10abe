"""What the Ray Serve deployment takes, and how it becomes the settings of the application."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from pydantic import ValidationError

from dualsight.interface.http.app import Settings
from dualsight.interface.http.ray_serve import Arguments, application


def test_serve_sees_what_it_takes() -> None:
    """It makes an object of the annotated class of the strings that `serve run` is given."""
    (parameter,) = inspect.signature(application).parameters.values()
    assert parameter.annotation is Arguments
    given = Arguments.model_validate({"model": "demo", "replicas": "2", "cpus": "4", "insecure": "true"})
    assert (given.replicas, given.settings()) == (2, Settings(local_only=False, cores=4))


def test_an_index_may_be_an_address() -> None:
    assert Arguments(index="s3://bucket/archive.db").settings().index == "s3://bucket/archive.db"


def test_only_this_machine_is_answered_unless_somebody_says_otherwise() -> None:
    assert Arguments().settings().local_only
    assert not Arguments(keys=Path("keys.txt")).settings().local_only
    assert not Arguments(insecure=True).settings().local_only


@pytest.mark.parametrize("wrong", [{"modle": "demo"}, {"replicas": "0"}, {"cpus": "0"}])
def test_what_cannot_be_meant(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Arguments.model_validate(wrong)
