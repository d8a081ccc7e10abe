"""The reference wrapper's call signatures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dualsight import MedImageInsight
from dualsight.errors import CheckpointError, DualsightError
from golden import Golden
from picture_files import saved
from request_files import b64_lines


def test_a_users_script_runs_with_another_import(recipe_folder: Callable[[str], Path]) -> None:
    golden = Golden("davit")
    classifier = MedImageInsight(
        model_dir=str(recipe_folder("davit")),
        vision_model_name="medimageinsigt-v1.0.0.pt",
        language_model_name="language_model.pth",
    )
    classifier.load_model()
    pictures = [b64_lines(saved(picture, "PNG")) for picture in golden.images()]
    labels = golden.inputs["prompts"]
    for results, key in (
        (classifier.predict(pictures, labels), "softmax"),
        (classifier.predict(pictures, labels, multilabel=True), "sigmoid"),
    ):
        rows = [[result[label] for label in labels] for result in results]
        np.testing.assert_allclose(rows, golden.expected[key], atol=2.5e-4)
    encodings = classifier.encode(images=pictures, texts=labels)
    np.testing.assert_allclose(encodings["image_embeddings"], golden.expected["image_embeddings"], atol=1e-5)
    np.testing.assert_allclose(encodings["text_embeddings"], golden.expected["text_embeddings"], atol=1e-5)
    assert classifier.encode(texts=["a"])["image_embeddings"] is None


def test_mistakes_are_told(recipe_folder: Callable[[str], Path]) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        MedImageInsight(recipe_folder("davit"), "other.pt").load_model()
    wrapper = MedImageInsight(recipe_folder("davit"), "medimageinsigt-v1.0.0.pt")
    with pytest.raises(DualsightError, match="not loaded"):
        wrapper.predict([], ["a"])
    with pytest.raises(DualsightError, match="images, texts or both"):
        wrapper.encode()


def test_the_vision_model_that_is_named_is_loaded(recipe_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(recipe_folder("davit"), tmp_path / "two"))
    vision = folder / "vision_model"
    shutil.copyfile(vision / "medimageinsigt-v1.0.0.pt", vision / "other.pt")
    wrapper = MedImageInsight(folder, "other.pt")
    wrapper.load_model()
    assert wrapper.model is not None and wrapper.model.checkpoint.weights == vision / "other.pt"
