"""The command line in this process, with a small model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from dualsight.interface.cli.app import app

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """`run("embed", picture, "-o", file)`: what the command answered; a traceback fails the test."""

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def weights(recipe_folder: Callable[[str], Path]) -> Path:
    return recipe_folder("davit")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return draw(tmp_path / "one.png", seed=1)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return draw(tmp_path / "two.png", seed=2)


@pytest.fixture
def broken(tmp_path: Path, picture: Path) -> Path:
    path = tmp_path / "broken.png"
    path.write_bytes(picture.read_bytes()[:60])
    return path


def draw(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path
