"""What the tests of several engines share."""

from __future__ import annotations

import pytest


@pytest.fixture
def engines_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of this run's, in which a graph is compiled for the first of the tests that need it."""
    monkeypatch.setenv("DUALSIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "engines"))
