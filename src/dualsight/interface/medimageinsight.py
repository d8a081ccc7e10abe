"""The call signatures of the public MedImageInsight wrapper, so that its users change one import.

from dualsight import MedImageInsight        # was: from medimageinsightmodel import MedImageInsight
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import CheckpointError, DualsightError
from dualsight.image.open import Source
from dualsight.task.classify import Classification
from dualsight.task.model import Model, load


class Encodings(TypedDict):
    """What `encode` returns; None where no input was given."""

    image_embeddings: NDArray[np.float32] | None
    text_embeddings: NDArray[np.float32] | None


class MedImageInsight:
    """The wrapper's interface over a dualsight model. Pictures are base64 strings there, anything readable here."""

    def __init__(self, model_dir: str | Path, vision_model_name: str, language_model_name: str = "") -> None:
        """`language_model_name` is accepted and not needed: the one weight file holds both encoders."""
        self.model_dir = Path(model_dir)
        self.vision_model_name = vision_model_name
        self.language_model_name = language_model_name
        self.model: Model | None = None

    def load_model(self) -> None:
        """Reads the checkpoint. Raises CheckpointError if `vision_model_name` is not in the folder."""
        weights = self.model_dir / "vision_model" / self.vision_model_name
        if not weights.is_file():
            raise CheckpointError(f"{weights}: no such file", hint="model_dir is the folder that holds vision_model/")
        self.model = load(weights)

    def predict(
        self, images: Sequence[Source], labels: Sequence[str], multilabel: bool = False
    ) -> list[dict[str, float]]:
        """For each picture {label: probability}, falling: softmax, or sigmoid with `multilabel`."""
        results = self._loaded().classify(images, labels, multilabel=multilabel)
        return [result.as_dict() for result in results if isinstance(result, Classification)]

    def encode(self, images: Sequence[Source] | None = None, texts: Sequence[str] | None = None) -> Encodings:
        """float32 [n, D] of each kind that was given.

        Raises DualsightError if neither was.
        """
        if not images and not texts:
            raise DualsightError("encode needs images, texts or both")
        model = self._loaded()
        return Encodings(
            image_embeddings=model.encode_image(images) if images else None,
            text_embeddings=model.encode_text(texts) if texts else None,
        )

    def _loaded(self) -> Model:
        if self.model is None:
            raise DualsightError("the model is not loaded", hint="call load_model() first")
        return self.model
