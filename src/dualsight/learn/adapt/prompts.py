"""Prompt ensemble: zero-shot classification as an estimator, so that it can be compared with what learns."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import validate_data

from dualsight.learn.adapt.head import Floats, Head, squash


class PromptEnsemble(Head):
    """Probabilities of labels by their words alone, on embeddings of pictures. `fit` learns nothing.

    label_vectors: [k, D], one a label, as `task.classify.label_embeddings` makes them of templates. labels: the k
    values of y that they stand for; None: 0…k-1. logit_scale: as the model stores it, a logarithm.
    """

    STATE: ClassVar = {"label_vectors_": "kD", "logit_scale_": ""}

    def __init__(
        self, label_vectors: ArrayLike, labels: ArrayLike | None = None, *, logit_scale: float, multilabel: bool = False
    ) -> None:
        self.label_vectors = label_vectors
        self.labels = labels
        self.logit_scale = logit_scale
        self.multilabel = multilabel

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Itself. X: [n, D], whose width alone matters; y is not used.

        Raises ValueError where the vectors of labels and pictures have different widths.
        """
        validate_data(self, X)
        self.label_vectors_ = np.asarray(self.label_vectors, np.float64)
        check_label_vectors(self.label_vectors_, self.n_features_in_)
        self.logit_scale_ = np.float64(self.logit_scale)
        self.is_multilabel_ = self.multilabel
        use_columns = self.labels is None or self.multilabel
        self.classes_ = np.arange(len(self.label_vectors_)) if use_columns else np.asarray(self.labels)
        return self

    def _probabilities(self, vectors: Floats) -> Floats:
        return squash(zero_shot_logits(vectors, self.label_vectors_, float(self.logit_scale_)), self.is_multilabel_)


def zero_shot_logits(vectors: Floats, label_vectors: Floats, logit_scale: float) -> Floats:
    """exp(logit_scale) × cosine, [n, k], of unit vectors [n, D] and [k, D]."""
    return np.asarray(np.exp(logit_scale) * vectors @ label_vectors.T)


def check_label_vectors(label_vectors: Floats, width: int) -> None:
    """Raises ValueError unless they are [k, width]."""
    if label_vectors.ndim != 2 or label_vectors.shape[1] != width:
        raise ValueError(f"label_vectors are {list(label_vectors.shape)}, and [k, {width}] is needed")
