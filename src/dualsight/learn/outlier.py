"""Which vectors are unlike a reference set: scores, and a threshold at a chosen false-positive rate.

reference [n, D] ──▶ scores of its own, each by the others ──quantile──▶ threshold
tests     [m, D] ──▶ scores by the whole reference ──────────────compare──▶ outlier or not

A series or study is one vector by `study_features` of its pictures' vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import ConfigError, MissingExtra

Floats = NDArray[np.float64]
Method = Literal["knn", "mahalanobis"]

NEIGHBOURS = 3
FOLDS = 5
BLOCK = 1024  # vectors compared at a time, so that memory stays bounded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutlierDetector:
    """A fitted detector.

    threshold: a score above it makes an outlier. false_positive_rate: the share of the reference above it, each scored
    by vectors that it is not among. n_reference: how many these were.
    """

    method: Method
    threshold: float
    false_positive_rate: float
    n_reference: int
    _score: Callable[[Floats], Floats]

    def score(self, vectors: NDArray[np.floating]) -> Floats:
        """float64 [n]: how unlike the reference each of vectors [n, D] is; higher is stranger."""
        return self._score(np.asarray(vectors, np.float64))


def fit_outliers(
    reference: NDArray[np.floating], *, method: Method = "knn", rate: float = 0.05, neighbours: int = NEIGHBOURS
) -> OutlierDetector:
    """A detector whose threshold no more than `rate` of the reference [n, D] exceeds.

    "knn": mean Euclidean distance to the `neighbours` nearest; the reference by all others. "mahalanobis": distance
    from the mean under a covariance with Ledoit-Wolf shrinkage (doi:10.1016/S0047-259X(03)00096-4); the reference by
    the other four fifths. Raises ConfigError for a rate outside 0…1 or too few vectors, MissingExtra.
    """
    if method not in get_args(Method):
        raise ConfigError(f"method is {method!r}", hint=f"one of: {', '.join(get_args(Method))}")
    if not 0 < rate < 1:
        raise ConfigError(f"a false-positive rate of {rate:g}", hint="between 0 and 1, such as 0.05")
    if neighbours < 1:
        raise ConfigError(f"{neighbours} neighbours", hint="1 or more")
    vectors = np.asarray(reference, np.float64)
    needed = max(neighbours + 1, FOLDS)
    if len(vectors) < needed:
        raise ConfigError(f"{len(vectors)} reference vectors", hint=f"give {needed} or more: hundreds tell a rate")
    score: Callable[[Floats], Floats]
    if method == "knn":
        own = _distances(vectors, vectors, neighbours, leave_out=True)
        score = lambda tests: _distances(tests, vectors, neighbours)  # noqa: E731 - one of two, as a value
    else:
        own = _cross_fitted(vectors)
        score = _mahalanobis(vectors)
    threshold = float(np.quantile(own, 1 - rate, method="higher"))
    return OutlierDetector(
        method=method,
        threshold=threshold,
        false_positive_rate=float((own > threshold).mean()),
        n_reference=len(vectors),
        _score=score,
    )


def study_features(vectors: NDArray[np.floating]) -> Floats:
    """float64 [7 D]: mean, standard deviation (ddof 1), minimum, quartiles and maximum of vectors [n, D].

    In this order, each over the n pictures of a study; of a single one the deviation is 0.
    """
    values = np.asarray(vectors, np.float64)
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    quartiles = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    return np.concatenate([values.mean(axis=0), deviation, values.min(axis=0), *quartiles, values.max(axis=0)])


def _distances(tests: Floats, reference: Floats, neighbours: int, *, leave_out: bool = False) -> Floats:
    """[n]: mean distance to the nearest of the reference. leave_out: test i is reference i, and no neighbour of it."""
    lengths = (reference**2).sum(axis=1)
    scores = np.empty(len(tests))
    for start in range(0, len(tests), BLOCK):
        block = tests[start : start + BLOCK]
        squares = (block**2).sum(axis=1)[:, None] - 2 * block @ reference.T + lengths  # [b, n]
        if leave_out:
            rows = np.arange(len(block))
            squares[rows, start + rows] = np.inf
        nearest = np.partition(squares, neighbours - 1, axis=1)[:, :neighbours]
        scores[start : start + len(block)] = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return scores


def _mahalanobis(reference: Floats) -> Callable[[Floats], Floats]:
    try:
        from sklearn.covariance import LedoitWolf
    except ImportError as error:
        raise MissingExtra(
            "Mahalanobis distances need scikit-learn", hint="pip install 'dualsight[learn]', or take knn"
        ) from error
    fitted = LedoitWolf().fit(reference)
    return lambda tests: np.sqrt(fitted.mahalanobis(tests))


def _cross_fitted(vectors: Floats) -> Floats:
    """[n]: the distance of each by the folds that it is not in; every FOLDS-th vector is a fold."""
    fold = np.arange(len(vectors)) % FOLDS
    scores = np.empty(len(vectors))
    for number in range(FOLDS):
        scores[fold == number] = _mahalanobis(vectors[fold != number])(vectors[fold == number])
    return scores
