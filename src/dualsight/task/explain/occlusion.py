"""Heat without gradients, by occlusion: the similarity that is lost when a patch is blurred away (arXiv 1311.2901).

A soft-edged patch slides over the picture in steps; within it the picture is replaced by its own blurred self, which
takes detail away and puts no foreign edge there. A cell's value is the mean loss over the patches that cover it, each
weighted by how much it covers. Any engine can compute it: one picture for each place of the patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dualsight.task.explain.method import Heat, Map, Vector, similarities
from dualsight.task.model import Model

BLUR = 0.1  # standard deviation of the blur, as a part of the picture's side


@dataclass(frozen=True, slots=True, kw_only=True)
class Occlusion:
    """A patch of `side` (its standard deviation about a third of it), moved by `step`: parts of the picture's side."""

    side: float = 0.2
    step: float = 0.05

    def __call__(self, model: Model, pixels: NDArray[np.float32], direction: Vector) -> Heat:
        """Heat in similarity lost, on a grid of one cell a step."""
        height, width = pixels.shape[1:]
        rows, columns = (_patches(side, self.side, self.step) for side in (height, width))  # [n, side]
        blurred = blur(pixels)

        def occluded(place: tuple[int, int]) -> NDArray[np.float32]:
            cover = rows[place[0]][:, None] * columns[place[1]]  # [H, W]
            return pixels + cover * (blurred - pixels)

        places = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
        whole = similarities(model, [pixels], direction)[0]
        losses = whole - similarities(model, map(occluded, places), direction)
        return Heat(values=_spread(losses.reshape(len(rows), len(columns)), rows, columns), unit="similarity lost")


def blur(pixels: NDArray[np.float32], part: float = BLUR) -> NDArray[np.float32]:
    """The picture [3, H, W] without its detail: a standard deviation of that part of its sides."""
    sigma = (0.0, part * pixels.shape[1], part * pixels.shape[2])
    return np.asarray(ndimage.gaussian_filter(pixels, sigma, mode="reflect"), np.float32)


def _patches(n: int, side: float, step: float) -> Map:
    """float32 [places, n]: how much each place of the patch covers of each pixel along one axis, 0…1."""
    centres = np.arange(step / 2, 1, step)
    distance = (np.arange(n) + 0.5) / n - centres[:, None]  # [places, n]
    return np.exp(-0.5 * (distance / (side / 3)) ** 2).astype(np.float32)


def _spread(losses: NDArray[np.float64], rows: Map, columns: Map) -> Map:
    """[h, w] of the loss at each place [h, w]: its mean over the patches, weighted by their cover of the cell."""
    at_cells = [axis[:, _centres(axis)] for axis in (rows, columns)]  # each [places, cells]
    cover_rows, cover_columns = (axis / axis.sum(axis=0) for axis in at_cells)
    return np.asarray(cover_rows.T @ losses @ cover_columns, np.float32)


def _centres(axis: Map) -> NDArray[np.intp]:
    """The pixel at the centre of each place."""
    return axis.argmax(axis=1)
