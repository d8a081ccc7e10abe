"""Tokens of a stage as pictures: what a feature map looks like, and how much of it a picture can hold.

N = H·W tokens, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TAILS = (1.0, 99.0)  # percentiles that become black and white: a few outlying tokens must not decide the contrast


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeaturePicture:
    """A stage's tokens drawn on their grid, one pixel a token.

    components: uint8 [H, W, 3], the first three principal components as red, green, blue; like colours are
    like tokens. explained: the part of the tokens' variance in each of the three, 0…1.
    norms: uint8 [H, W], the length of each token, from `norm_range[0]` (black) to `norm_range[1]` (white).
    """

    components: NDArray[np.uint8]
    explained: tuple[float, float, float]
    norms: NDArray[np.uint8]
    norm_range: tuple[float, float]


def feature_picture(tokens: NDArray[np.float32], grid: tuple[int, int]) -> FeaturePicture:
    """Pictures of tokens [N, C] on their grid (H, W). The same tokens give the same bytes."""
    scores, explained = principal_components(tokens)  # [N, 3]
    colours = np.stack([_to_bytes(column) for column in scores.T], axis=-1)  # [N, 3]
    lengths = np.linalg.norm(tokens.astype(np.float64), axis=1)  # [N]
    return FeaturePicture(
        components=colours.reshape(*grid, 3),
        explained=explained,
        norms=_to_bytes(lengths).reshape(grid),
        norm_range=(float(np.percentile(lengths, TAILS[0])), float(np.percentile(lengths, TAILS[1]))),
    )


def principal_components(tokens: NDArray[np.float32]) -> tuple[NDArray[np.float64], tuple[float, float, float]]:
    """The tokens' first three principal components [N, 3], and the part of the variance that each explains.

    By the eigenvectors of the smaller of [N, N] and [C, C], in float64. A component's sign is free; it is
    chosen so that the score of largest magnitude is positive. Components that do not exist are zero.
    """
    centred = tokens.astype(np.float64) - tokens.mean(axis=0, dtype=np.float64)  # [N, C]
    n, channels = centred.shape
    if n <= channels:
        values, vectors = np.linalg.eigh(centred @ centred.T)  # rising; [N], [N, N]
        scores = vectors[:, ::-1][:, :3] * np.sqrt(np.clip(values[::-1][:3], 0, None))  # [N, 3]
    else:
        values, vectors = np.linalg.eigh(centred.T @ centred)  # [C], [C, C]
        scores = centred @ vectors[:, ::-1][:, :3]
    scores = np.pad(scores, ((0, 0), (0, 3 - scores.shape[1])))
    extremes = scores[np.abs(scores).argmax(axis=0), range(3)]  # [3]
    scores *= np.where(extremes < 0, -1.0, 1.0)
    variance = float((centred**2).sum())
    first, second, third = ((scores**2).sum(axis=0) / variance if variance > 0 else np.zeros(3)).tolist()
    return scores, (first, second, third)


def _to_bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """0…255 between the outer percentiles; mid grey where all are alike."""
    low, high = np.percentile(values, TAILS)
    if high <= low:
        return np.full(values.shape, 128, np.uint8)
    return np.round(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
