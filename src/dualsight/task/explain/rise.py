"""Heat without gradients, by RISE: the similarity of many half-hidden pictures (Petsiuk et al., arXiv 1806.07421).

    random grids of 0 and 1 ──smooth, shifted──▶ masks [n, H, W] ──picture or blur──▶ similarities [n]

A place's value is by how much pictures that show it are more similar than pictures that hide it: the difference of
the two weighted means. Any engine can compute it; more masks make it less noisy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.task.explain.geometry import cubic_weights
from dualsight.task.explain.method import Heat, Vector, similarities
from dualsight.task.explain.occlusion import blur
from dualsight.task.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """n masks made of random grids of cells × cells, each cell shown with that probability."""

    n: int = 1000
    cells: int = 8
    shown: float = 0.5
    seed: int = 0

    def __call__(self, model: Model, pixels: NDArray[np.float32], direction: Vector) -> Heat:
        """Heat in similarity gained where a place is shown, one cell a pixel."""
        blurred = blur(pixels)
        height, width = pixels.shape[1:]

        def hidden() -> Iterator[NDArray[np.float32]]:
            for mask in self._masks(height, width):
                yield np.asarray(blurred + mask * (pixels - blurred), np.float32)

        gains = similarities(model, hidden(), direction)  # [n]
        with_place, shows = np.zeros((height, width)), np.zeros((height, width))
        for gain, mask in zip(gains - gains.mean(), self._masks(height, width), strict=True):
            with_place += gain * mask
            shows += mask
        values = with_place / shows + with_place / (self.n - shows)  # gains add up to 0: hidden places have the rest
        return Heat(values=values.astype(np.float32), unit="similarity gained")

    def _masks(self, height: int, width: int) -> Iterator[NDArray[np.float32]]:
        """float32 [H, W] in 0…1; the same every time."""
        rng = np.random.default_rng(self.seed)
        for _ in range(self.n):
            cells = (rng.random((self.cells + 1, self.cells + 1)) < self.shown).astype(np.float32)
            row, column = rng.random(2)
            rows = cubic_weights((np.arange(height) + 0.5) / height * self.cells + row, self.cells + 1)
            columns = cubic_weights((np.arange(width) + 0.5) / width * self.cells + column, self.cells + 1)
            yield np.asarray(np.clip(rows @ cells @ columns.T, 0, 1), np.float32)
