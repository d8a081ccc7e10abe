"""Small models of both architectures with recipe weights, and what explanations are asked about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dualsight.image.prepare import normalise
from dualsight.task.model import Model, load
from golden import Golden


@pytest.fixture(scope="module", params=["davit", "coswin"])
def model(request: pytest.FixtureRequest, recipe_folder: Callable[[str], Path]) -> Model:
    return load(recipe_folder(request.param))


@pytest.fixture(scope="session")
def demo() -> Model:
    return load("demo")


@pytest.fixture
def pixels(model: Model) -> NDArray[np.float32]:
    """A picture of the model's own size, normalised."""
    height, width = model.config.dual.image_size
    picture = Golden("davit").images()[0]
    rows, columns = (np.arange(side) * n // side for side, n in zip((height, width), picture.shape, strict=False))
    return normalise(np.ascontiguousarray(picture[np.ix_(rows, columns)]), model.config.preprocessing)


@pytest.fixture
def direction(model: Model) -> NDArray[np.float32]:
    """From one text to another: no unit vector, as contrasts are none."""
    one, other = model.encode_text(["x-ray chest pneumonia", "mri brain"])
    return one - other
