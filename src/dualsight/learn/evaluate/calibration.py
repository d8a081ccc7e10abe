"""Whether a probability of 0.8 is right eight times in ten, and what mends it.

n pictures, k labels, m statements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

BINS = 10
TINY = 1e-7  # from 0 and 1, so that logits are finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Statements whose confidence is in (low, high]: how many, their mean confidence, and the share that is true."""

    low: float
    high: float
    n: int
    confidence: float
    frequency: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """error: the expected calibration error, |confidence - frequency| averaged over statements; bins: those in use."""

    error: float
    bins: tuple[Bin, ...]


def reliability(probabilities: Floats, truth: Truth, *, multilabel: bool) -> Reliability:
    """Of the most probable label of each picture, or with `multilabel` of each label of each picture.

    Both [n, k]. In BINS of equal width (arXiv 1706.04599, section 2).
    """
    if multilabel:
        confidence, right = probabilities.ravel(), truth.ravel()
    else:
        top = probabilities.argmax(axis=1)
        rows = np.arange(len(top))
        confidence, right = probabilities[rows, top], truth[rows, top]
    numbers = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins: list[Bin] = []
    for i in np.unique(numbers):
        inside = numbers == i
        bins.append(
            Bin(
                low=float(i / BINS),
                high=float((i + 1) / BINS),
                n=int(inside.sum()),
                confidence=float(confidence[inside].mean()),
                frequency=float(right[inside].mean()),
            )
        )
    error = sum(bin.n * abs(bin.confidence - bin.frequency) for bin in bins) / len(confidence)
    return Reliability(error=error, bins=tuple(bins))


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """Logits divided by one number (arXiv 1706.04599, section 4.2): above 1 it takes confidence away."""

    temperature: float
    multilabel: bool

    def __call__(self, probabilities: Floats) -> Floats:
        """[n, k] → [n, k]."""
        return _squash(_logits(probabilities, self.multilabel) / self.temperature, self.multilabel)


def fit_temperature(probabilities: Floats, truth: Truth, *, multilabel: bool) -> Temperature:
    """The temperature under which the truth is likeliest, from 1/100 to 100. Both [n, k]."""
    from scipy.optimize import minimize_scalar

    def surprise(log_temperature: float) -> float:
        scaled = Temperature(temperature=float(np.exp(log_temperature)), multilabel=multilabel)(probabilities)
        likelihood = np.where(truth, scaled, 1 - scaled) if multilabel else scaled[truth]
        return float(-np.log(np.maximum(likelihood, TINY)).mean())

    reach = np.log(100)
    found = minimize_scalar(surprise, bounds=(-reach, reach), method="bounded", options={"xatol": 1e-6})
    return Temperature(temperature=float(np.exp(found.x)), multilabel=multilabel)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Platt:
    """A sigmoid a label on its logit: slope and offset [k]. Where one label is true, rows are made to sum to one."""

    slope: Floats
    offset: Floats
    multilabel: bool

    def __call__(self, probabilities: Floats) -> Floats:
        """[n, k] → [n, k]."""
        each = _squash(_logits(probabilities, True) * self.slope + self.offset, True)
        return each if self.multilabel else np.asarray(each / each.sum(axis=1, keepdims=True))


def fit_platt(probabilities: Floats, truth: Truth, *, multilabel: bool) -> Platt:
    """Logistic regression of each label's truth on its logit, a label that is always or never true left alone.

    Both [n, k]. (Platt, Probabilistic outputs for support vector machines, 1999)
    """
    from sklearn.linear_model import LogisticRegression

    k = truth.shape[1]
    slope, offset = np.ones(k), np.zeros(k)
    for j, logits in enumerate(_logits(probabilities, True).T):
        if truth[:, j].any() and not truth[:, j].all():
            fitted = LogisticRegression(C=1e4, max_iter=1000).fit(logits[:, None], truth[:, j])
            slope[j], offset[j] = fitted.coef_[0, 0], fitted.intercept_[0]
    return Platt(slope=slope, offset=offset, multilabel=multilabel)


def _logits(probabilities: Floats, multilabel: bool) -> Floats:
    """Of each label by itself; of one label among others up to a number that a picture's labels share."""
    inside = np.clip(probabilities, TINY, 1 - TINY)
    return np.log(inside) - np.log1p(-inside) if multilabel else np.log(inside)


def _squash(logits: Floats, multilabel: bool) -> Floats:
    from scipy.special import expit, softmax

    return np.asarray(expit(logits) if multilabel else softmax(logits, axis=1))
