"""Small models compute in one thread: several would mostly wait for one another."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def alone(one_thread: None) -> None:
    """For every test of this folder."""
