from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.task.inspect.picture import feature_picture, principal_components


@pytest.mark.parametrize(("n", "channels"), [(40, 7), (7, 40), (20, 20)])
def test_components_are_those_of_a_singular_value_decomposition(n: int, channels: int) -> None:
    tokens = np.random.default_rng(1).normal(size=(n, channels)).astype(np.float32)
    scores, explained = principal_components(tokens)
    left, values, _ = np.linalg.svd(tokens.astype(np.float64) - tokens.mean(0, dtype=np.float64), full_matrices=False)
    np.testing.assert_allclose(np.abs(scores), np.abs(left[:, :3] * values[:3]), atol=1e-6)
    np.testing.assert_allclose(explained, values[:3] ** 2 / (values**2).sum(), rtol=1e-6)
    assert (scores[np.abs(scores).argmax(0), range(3)] > 0).all()


def test_two_kinds_of_tokens_get_two_colours() -> None:
    kinds = np.zeros((4, 6), dtype=bool)
    kinds[:, 3:] = True
    tokens = np.where(kinds.reshape(-1, 1), np.array([[3.0, 0, 0, 1]]), np.array([[0, 2.0, 0, 1]])).astype(np.float32)
    picture = feature_picture(tokens, (4, 6))
    first = picture.components[..., 0]
    assert set(np.unique(first)) == {0, 255}
    assert (first[kinds] == first[0, 5]).all()
    assert (first[~kinds] == first[0, 0]).all()
    assert (picture.norms[kinds] > picture.norms[~kinds]).all()
    assert picture.norm_range == pytest.approx((5**0.5, 10**0.5), rel=1e-6)
    assert picture.explained[0] == pytest.approx(1)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 5), width=st.integers(1, 5), channels=st.integers(1, 6), alike=st.booleans())
def test_any_grid_gives_a_picture(height: int, width: int, channels: int, alike: bool) -> None:
    shape = (height * width, channels)
    tokens = np.ones(shape, np.float32) if alike else np.random.default_rng(0).normal(size=shape).astype(np.float32)
    picture = feature_picture(tokens, (height, width))
    assert picture.components.shape == (height, width, 3)
    assert picture.norms.shape == (height, width)
    assert picture.components.dtype == picture.norms.dtype == np.uint8
    assert 0 <= sum(picture.explained) <= 1 + 1e-9
    if alike:
        assert (picture.components == 128).all()
