from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualsight.learn.evaluate import retrieval as module
from dualsight.learn.evaluate.retrieval import retrieval


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.normal(size=(n, 6)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 20), st.sampled_from([3, 1024]))
def test_recall_is_its_definition(seed: int, n: int, t: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    images, texts, own = unit(rng, n), unit(rng, t), rng.integers(0, t, n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        found = retrieval(images, texts, own)
    cosines = texts @ images.T
    for k, forth, back in zip(found.ks, found.text_to_image, found.image_to_text, strict=True):
        asked = sorted(set(own.tolist()))
        hits = [bool((own[np.argsort(-cosines[j])[:k]] == j).any()) for j in asked]
        assert forth == pytest.approx(np.mean(hits))
        assert back == pytest.approx(np.mean([own[i] in np.argsort(-cosines[:, i])[:k] for i in range(n)]))


def test_an_encoder_that_says_one_thing_of_everything_finds_nothing() -> None:
    """Ties count against: all answers are alike, and the right one is not more so."""
    same = np.tile(np.eye(6, dtype=np.float32)[:1], (50, 1))
    found = retrieval(same, same, np.arange(50))
    assert found.text_to_image == found.image_to_text == (0.0, 0.0, 0.0)
