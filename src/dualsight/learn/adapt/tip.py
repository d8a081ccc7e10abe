"""Tip-Adapter: zero-shot logits, corrected by a cache of a few examples a class (arXiv 2111.03930).

logits = exp(logit_scale) · x Wᵀ  +  α · exp(-β (1 - x Fᵀ)) · L
         what the words say          what similar examples are; F: the cached embeddings, L: their classes
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from dualsight.learn.adapt.head import Floats, Head, Targets, squash, unit
from dualsight.learn.adapt.prompts import check_label_vectors, zero_shot_logits

ALPHAS = (0.0, *np.geomspace(0.1, 100, 13))
BETAS = np.geomspace(0.5, 50, 9)
PUBLISHED = (1.0, 5.5)  # the paper's alpha and beta, where no class has an example to spare
HELD_OUT = 5  # one in so many of a class's examples chooses alpha and beta


class TipAdapter(Head):
    """A cache of `shots` examples a class beside zero-shot logits (Tip-Adapter, not -F: nothing is trained).

    label_vectors: [k, D], in the order of the sorted classes of y. logit_scale: as the model stores it, a logarithm.
    A fifth of the examples chooses alpha_ and beta_ by likelihood, against a cache of the others; then the cache is
    drawn from all of them. random_state: which examples are which. One class a picture: the method has no other form.
    """

    STATE: ClassVar = {
        "keys_": "mD",
        "values_": "mk",
        "label_vectors_": "kD",
        "logit_scale_": "",
        "alpha_": "",
        "beta_": "",
    }

    def __init__(self, label_vectors: ArrayLike, *, logit_scale: float, shots: int = 16, random_state: int = 0) -> None:
        self.label_vectors = label_vectors
        self.logit_scale = logit_scale
        self.shots = shots
        self.random_state = random_state

    def _learn(self, vectors: Floats, targets: Targets) -> None:
        if targets.is_multilabel:
            raise ValueError("Tip-Adapter needs one class a picture, and y has several labels")
        self.label_vectors_ = np.asarray(self.label_vectors, np.float64)
        check_label_vectors(self.label_vectors_, vectors.shape[1])
        if len(self.label_vectors_) != len(targets.classes):
            raise ValueError(f"{len(self.label_vectors_)} label vectors for {len(targets.classes)} classes")
        self.logit_scale_ = np.float64(self.logit_scale)
        order = check_random_state(self.random_state).permutation(len(vectors))
        vectors, truth = unit(vectors)[order], targets.indicator[order]
        aside = (_rank(truth) % HELD_OUT) == 2  # from 1: a class with two examples spares one
        self._cache(vectors[~aside], truth[~aside])
        self.alpha_, self.beta_ = self._search(vectors[aside], truth[aside])
        self._cache(vectors, truth)

    def _cache(self, vectors: Floats, truth: Floats) -> None:
        """Keeps the first `shots` of each class."""
        kept = _rank(truth) <= self.shots
        self.keys_, self.values_ = vectors[kept], truth[kept]

    def _search(self, vectors: Floats, truth: Floats) -> tuple[np.float64, np.float64]:
        """The alpha and beta under which the truth [n, k] is likeliest."""
        best = np.float64(PUBLISHED[0]), np.float64(PUBLISHED[1])
        if not len(vectors):
            return best
        words, likeliest = self._words(vectors), 0.0
        for beta in BETAS:
            votes = self._votes(vectors, beta)
            for alpha in ALPHAS:
                probabilities = squash(words + alpha * votes, False)
                likelihood = float(np.exp(np.log((probabilities * truth).sum(axis=1) + 1e-12).mean()))
                if likelihood > likeliest:
                    likeliest, best = likelihood, (np.float64(alpha), beta)
        return best

    def _words(self, vectors: Floats) -> Floats:
        return zero_shot_logits(vectors, self.label_vectors_, float(self.logit_scale_))

    def _votes(self, vectors: Floats, beta: float) -> Floats:
        affinity = np.exp(-beta * (1 - vectors @ self.keys_.T))  # [n, m]
        return np.asarray(affinity @ self.values_)

    def _probabilities(self, vectors: Floats) -> Floats:
        vectors = unit(vectors)
        return squash(self._words(vectors) + self.alpha_ * self._votes(vectors, float(self.beta_)), False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = False
        return tags


def _rank(truth: Floats) -> NDArray[np.float64]:
    """[n]: the how-manieth of its class each row of truth [n, k] is, from 1."""
    return np.asarray((np.cumsum(truth, axis=0) * truth).sum(axis=1))
