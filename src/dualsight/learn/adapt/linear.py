"""Linear probe: logistic regression on embeddings, the usual first question about a frozen encoder."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression

from dualsight.learn.adapt.head import Floats, Head, Targets, squash, standard

MAX_ITER = 2000  # of L-BFGS; a few hundred are the rule


class LinearProbe(Head):
    """Logistic regression with an L2 penalty: one softmax, or one sigmoid a label where several may be true.

    C: the inverse of the penalty's strength, on dimensions of unit variance.
    """

    STATE: ClassVar = {"coef_": "kD", "intercept_": "k"}

    def __init__(self, C: float = 0.1) -> None:
        self.C = C

    def _learn(self, vectors: Floats, targets: Targets) -> None:
        mean, deviation = standard(vectors)
        scaled = (vectors - mean) / deviation
        if targets.is_multilabel:
            rows = [self._one_label(scaled, column) for column in targets.indicator.T]
            coef, intercept = np.stack([row[0] for row in rows]), np.array([row[1] for row in rows])
        else:
            fitted = self._regression().fit(scaled, targets.codes)
            coef, intercept = fitted.coef_, fitted.intercept_
            if len(targets.classes) == 2:  # one row for two classes: as two, whose softmax is its sigmoid
                coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
        self.coef_ = coef / deviation  # the scaling becomes part of the weights
        self.intercept_ = intercept - self.coef_ @ mean

    def _one_label(self, scaled: Floats, truth: Floats) -> tuple[Floats, float]:
        """Weights [D] and intercept of one label; of one that is never or always true its smoothed frequency."""
        positives, negatives = truth.sum(), (1 - truth).sum()
        if not positives or not negatives:
            return np.zeros(scaled.shape[1]), float(np.log((positives + 0.5) / (negatives + 0.5)))
        fitted = self._regression().fit(scaled, truth)
        return fitted.coef_[0], float(fitted.intercept_[0])

    def _regression(self) -> LogisticRegression:
        return LogisticRegression(C=self.C, max_iter=MAX_ITER)

    def _probabilities(self, vectors: Floats) -> Floats:
        return squash(vectors @ self.coef_.T + self.intercept_, self.is_multilabel_)
