"""A checkpoint for those that change one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def copy(recipe_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A small official folder that a test may change."""
    return Path(shutil.copytree(recipe_folder("davit"), tmp_path / "2024.09.27"))
