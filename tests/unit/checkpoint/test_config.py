"""A `config.yaml` that is none, or that YAML reads as something else than was meant."""

from __future__ import annotations

import pytest

from dualsight.checkpoint.config import parse_config
from dualsight.errors import ConfigError
from golden import Golden

TEXT = Golden("davit").config.read_text()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("X: [", "not YAML"),
        ("X: 2024-13-01", "not YAML: month must be in 1..12"),
        ("X: !!timestamp soon", "not YAML"),
        ("X: &a [*a]", "not YAML"),
        ("X: " + "[" * 5000, "not YAML"),
        ("X: ${DUALSIGHT_NO_SUCH_NAME}", "DUALSIGHT_NO_SUCH_NAME"),
    ],
)
def test_a_text_that_cannot_be_read_names_its_file(line: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        parse_config(f"{TEXT}\n{line}\n", file="some.yaml")
    assert str(caught.value).startswith("some.yaml: ")


def test_unknown_keys_of_several_types() -> None:
    text = TEXT.replace("\nIMAGE_ENCODER:\n", "\nIMAGE_ENCODER:\n  1: a\n  SPECS: b\n  2024-01-01: c\n")
    assert text != TEXT
    with pytest.raises(ConfigError, match=r"IMAGE_ENCODER\.1 is a key that dualsight does not know"):
        parse_config(text)
