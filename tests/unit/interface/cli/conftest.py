"""The command line in this process, with a small model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from dualsight.interface.cli import stderr
from dualsight.interface.cli.app import app

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Takes back what a command sets for its own process, which ends with it: variables, and a console made of them."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() | before.keys():
        if name not in before:
            del os.environ[name]
        elif os.environ.get(name) != before[name]:
            os.environ[name] = before[name]
    stderr.console.cache_clear()


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


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A table of twenty pictures of ten patients, dark and bright in turn, labelled so."""
    rng = np.random.default_rng(1)
    rows = ["path,label,patient"]
    for i in range(20):
        bright = i % 2
        pixels = rng.integers(150 * bright, 100 + 150 * bright, (40, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i:02}.png")
        rows.append(f"{i:02}.png,{('dark', 'bright')[bright]},P{i // 2}")
    table = tmp_path / "manifest.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def draw(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path
