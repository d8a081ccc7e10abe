from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualsight.errors import ConfigError
from dualsight.task.near_duplicates import near_duplicates


@given(st.integers(0, 1000), st.integers(0, 12), st.integers(1, 5), st.floats(-1, 1))
def test_every_pair_is_found_once_whatever_the_block(seed: int, n: int, block: int, cosine: float) -> None:
    vectors = np.random.default_rng(seed).standard_normal((n, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = list(near_duplicates(vectors, cosine=cosine, block=block))
    found = {(p.first, p.second): p.cosine for p in pairs}
    assert len(found) == len(pairs)
    assert all(first < second for first, second in found)
    cosines = (vectors @ vectors.T).astype(np.float64)
    for i in range(n):
        for j in range(i + 1, n):
            if abs(cosines[i, j] - cosine) > 1e-5:  # sums in another order
                assert ((i, j) in found) == (cosines[i, j] > cosine)
    assert all(abs(value - cosines[pair]) < 1e-5 for pair, value in found.items())


def test_the_same_vector_twice_is_a_pair() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 1, 0]]
    (pair,) = near_duplicates(vectors, cosine=0.99)
    assert (pair.first, pair.second, pair.cosine) == (0, 2, 1.0)


@pytest.mark.parametrize("cosine", [1.5, -1.01, float("nan")])
def test_no_such_cosine(cosine: float) -> None:
    with pytest.raises(ConfigError, match="cosine"):
        near_duplicates(np.eye(2), cosine=cosine)
