from __future__ import annotations

import pytest

from dualsight.interface.words import billions, by, count, number


@pytest.mark.parametrize(
    ("value", "said"),
    [(580_262_215_680, "580.3"), (4_521_801_216, "4.52"), (27_000_000, "0.027"), (0, "0.00"), (None, "–")],
)
def test_billions(value: int | None, said: str) -> None:
    assert billions(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.23456, "1.235"), (-3e-9, "0.000"), (0.00123, "1.23e-03"), (123456.0, "1.23e+05"), (0, "0.000")],
)
def test_number(value: float, said: str) -> None:
    assert number(value) == said


def test_counts_and_sides() -> None:
    assert count(615996417) == "615,996,417"
    assert by((1, 14400, 256)) == "1×14400×256"
    assert by(()) == ""
