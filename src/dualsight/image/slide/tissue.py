"""Where a slide shows tissue, by its colour: glass and the black around a fundus have none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]  # [h, w]

# Otsu's threshold is trusted within these, in grey levels of 255. Below: noise of the scanner and of JPEG. Above: a
# slide with much dark stain would lose its pale tissue (fat, mucin).
_LEAST, _MOST = 10, 32
_SPECK, _HOLE = 16, 64  # pixels of the mask: smaller islands are dust, smaller holes belong to the tissue


def find_tissue(rgb: NDArray[np.uint8], *, is_grey: bool) -> Mask:
    """True where a small picture of a slide, uint8 [h, w, 3], shows tissue.

    Chroma, the greatest of R, G and B less the least, is smoothed by a 3 × 3 median and cut by Otsu's threshold
    (N. Otsu, 1979), kept within 10…32. A grey slide has no chroma: there, how far a level is from the median of the
    picture's border takes its place. Islands under 16 pixels are dropped, holes under 64 filled.
    Coloured ink and coloured glass count as tissue, and tissue without colour does not.
    """
    if is_grey:
        level = rgb[..., 0].astype(np.int16)
        border = np.concatenate([level[0], level[-1], level[:, 0], level[:, -1]])
        score = np.abs(level - np.int16(np.median(border))).astype(np.uint8)
    else:
        score = rgb.max(axis=2) - rgb.min(axis=2)
    score = ndimage.median_filter(score, size=3)
    mask = score > np.clip(otsu(np.bincount(score.ravel(), minlength=256)), _LEAST, _MOST)
    mask = _without_small(mask, _SPECK)
    return ~_without_small(~mask, _HOLE)


def otsu(counts: NDArray[Any]) -> int:
    """The level that parts a histogram best: the greatest variance between those up to it and those above it."""
    levels = np.arange(len(counts))
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * levels)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return int(np.argmax(np.nan_to_num(apart)))


def _without_small(mask: Mask, least: int) -> Mask:
    """Without the connected islands (by edges) of fewer than `least` pixels."""
    labels, _ = ndimage.label(mask)
    keep = np.bincount(labels.ravel()) >= least
    keep[0] = False  # what is no island
    return keep[labels]
