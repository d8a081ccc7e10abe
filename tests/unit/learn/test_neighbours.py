from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dualsight.learn.neighbours import BLOCK, nearest_votes


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 6), st.integers(1, 12))
def test_it_is_the_definition(seed: int, references: int, tests: int, neighbours: int) -> None:
    rng = np.random.default_rng(seed)
    known, vectors = rng.standard_normal((references, 4)), rng.standard_normal((tests, 4))
    labels = rng.integers(0, 2, (references, 3)).astype(float)
    found = nearest_votes(vectors, known, labels, neighbours=neighbours, temperature=0.5)
    for vector, votes in zip(vectors, found, strict=True):
        cosines = known @ vector
        nearest = sorted(range(references), key=lambda i: -cosines[i])[:neighbours]
        weights = {i: np.exp(cosines[i] / 0.5) for i in nearest}
        expected = sum(weights[i] * labels[i] for i in nearest) / sum(weights.values())
        np.testing.assert_allclose(votes, expected)


def test_blocks_join() -> None:
    rng = np.random.default_rng(1)
    known, vectors = rng.standard_normal((5, 2)), rng.standard_normal((BLOCK + 3, 2))
    whole = nearest_votes(vectors, known, np.eye(5), neighbours=2)
    np.testing.assert_allclose(whole[-3:], nearest_votes(vectors[-3:], known, np.eye(5), neighbours=2))
