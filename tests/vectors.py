"""Vectors that a test writes by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def unit(*numbers: float) -> NDArray[np.float32]:
    """The vector of unit length in this direction."""
    return (np.array(numbers) / np.linalg.norm(numbers)).astype(np.float32)
