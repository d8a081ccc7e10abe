"""What is said of a phantom: captions as different people would put them."""

from __future__ import annotations

import numpy as np

from dualsight.learn.phantom.catalogue import Phantom


def caption(phantom: Phantom, rng: np.random.Generator) -> str:
    """The whole prompt most of the time; now and then a part of it, so that short labels mean something too."""
    modality = phantom.modality
    finding = phantom.finding or modality.normal
    chance = rng.random()
    if chance < 0.70:
        return phantom.prompt
    if chance < 0.82:
        return f"{modality.name} {modality.anatomy} {finding}"
    if chance < 0.92:
        return finding
    return f"{modality.name} {modality.anatomy}"
