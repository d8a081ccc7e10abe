"""The official configuration, filled by recipe: 601 tensors, 2.46 GB. Slow: the file takes a minute to make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dualsight
from dualsight.task.classify import Classification
from golden import Golden

pytestmark = [pytest.mark.parity, pytest.mark.slow]


@pytest.mark.timeout(1800)
def test_embeddings_of_the_official_size(recipe_folder: Callable[[str], Path]) -> None:
    golden = Golden("official-size")
    model = dualsight.load(recipe_folder("official-size"))
    assert sum(p.numel() for p in model.checkpoint.model.parameters()) == 615_996_417
    images = model.encode_image(golden.images(), batch_size=1)
    np.testing.assert_allclose(images, golden.expected["image_embeddings"], atol=1e-5, rtol=0)
    texts = model.encode_text(golden.inputs["prompts"])
    np.testing.assert_allclose(texts, golden.expected["text_embeddings"], atol=1e-5, rtol=0)
    results = model.classify(golden.images(), golden.inputs["prompts"], batch_size=1)
    for result, row in zip(results, golden.expected["softmax"], strict=True):
        assert isinstance(result, Classification)
        # 1e-5 on an embedding is 1e-3 on a logit
        np.testing.assert_allclose([result.as_dict()[p] for p in golden.inputs["prompts"]], row, atol=2.5e-4, rtol=0)
