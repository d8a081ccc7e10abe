"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from golden import Golden, write_official_folder


@pytest.fixture(scope="session")
def recipe_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`recipe_folder("davit")`: an official-layout folder with that golden model's recipe weights. Read only."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = write_official_folder(Golden(name), tmp_path_factory.mktemp(name))
        return made[name]

    return folder
