"""What all heads on frozen embeddings share: scikit-learn's interface, for one label a picture or several.

    embeddings [n, D] ──fit──▶ arrays of STATE ──predict_proba──▶ probabilities [n, k]

n pictures, D dimensions, k labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Targets:
    """What is to be learnt.

    classes: [k], sorted; of several labels a picture the columns 0…k-1. indicator: float64 [n, k], 1 where a label is
    true.
    """

    classes: NDArray[Any]
    indicator: Floats
    is_multilabel: bool

    @property
    def codes(self) -> NDArray[np.int64]:
        """int64 [n], from 0: the class of each picture, where it has one."""
        return self.indicator.argmax(axis=1)


def read_targets(y: ArrayLike) -> Targets:
    """Classes [n], or an indicator matrix [n, k] of several labels a picture, as Targets.

    Raises ValueError for anything else, such as numbers that are no classes, and for fewer than two classes.
    """
    check_classification_targets(y)
    if type_of_target(y) == "multilabel-indicator":
        indicator = np.asarray(y, np.float64)
        return Targets(classes=np.arange(indicator.shape[1]), indicator=indicator, is_multilabel=True)
    classes, codes = np.unique(column_or_1d(y, warn=True), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"a classifier needs two classes, and there is one class only: {classes[0]!r}")
    return Targets(classes=classes, indicator=np.eye(len(classes))[codes], is_multilabel=False)


class Head(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """A classifier of embeddings that is made of a few arrays.

    STATE: the arrays that `predict_proba` needs, by attribute; a letter an axis, D and k as above, others free.
    After `fit`: classes_ [k] (of several labels a picture the columns 0…k-1), is_multilabel_.
    """

    STATE: ClassVar[dict[str, str]]

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Itself, fitted. X: [n, D]. y: classes [n], or an indicator matrix [n, k] of several labels a picture.

        Raises ValueError for arrays that do not fit each other, NaN, and fewer than two classes.
        """
        vectors, y = validate_data(self, X, y, multi_output=True, dtype=np.float64, ensure_min_samples=2)
        targets = read_targets(y)
        self.classes_ = targets.classes
        self.is_multilabel_ = targets.is_multilabel
        self._learn(vectors, targets)
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:
        """float64 [n, k] in the order of classes_; rows sum to one, unless several labels may be true.

        Raises NotFittedError before `fit`, ValueError for other than [n, D].
        """
        check_is_fitted(self)
        return self._probabilities(validate_data(self, X, reset=False, dtype=np.float64))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each [n], or an indicator matrix [n, k] of what is at least 0.5 probable.

        Raises as `predict_proba`.
        """
        probabilities = self.predict_proba(X)
        if self.is_multilabel_:
            return (probabilities >= 0.5).astype(np.int64)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def _learn(self, vectors: Floats, targets: Targets) -> None:
        """Sets the arrays of STATE."""
        raise NotImplementedError

    def _probabilities(self, vectors: Floats) -> Floats:
        """[n, D] → [n, k]."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def squash(logits: Floats, is_multilabel: bool) -> Floats:
    """Probabilities [n, k] of logits [n, k]: sigmoid of each, or softmax along each row."""
    if is_multilabel:
        return np.asarray(0.5 * (1 + np.tanh(logits / 2)))  # the sigmoid, without overflow
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def unit(vectors: Floats) -> Floats:
    """Each row made of length 1; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def standard(vectors: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each dimension, [D] each; 1 for one that does not vary."""
    deviations = vectors.std(axis=0)
    return vectors.mean(axis=0), np.where(deviations > 1e-12, deviations, 1.0)
