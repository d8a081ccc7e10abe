"""k-NN: what the most similar known pictures are."""

from __future__ import annotations

from typing import ClassVar

from dualsight.learn.adapt.head import Floats, Head, Targets, unit
from dualsight.learn.neighbours import TEMPERATURE, nearest_votes


class KNearest(Head):
    """Votes of the `n_neighbors` most similar examples by cosine, each weighted by exp(cosine / temperature).

    All examples are kept.
    """

    STATE: ClassVar = {"vectors_": "mD", "indicator_": "mk"}

    def __init__(self, n_neighbors: int = 20, temperature: float = TEMPERATURE) -> None:
        self.n_neighbors = n_neighbors
        self.temperature = temperature

    def _learn(self, vectors: Floats, targets: Targets) -> None:
        self.vectors_ = unit(vectors)
        self.indicator_ = targets.indicator

    def _probabilities(self, vectors: Floats) -> Floats:
        return nearest_votes(
            unit(vectors),
            self.vectors_,
            self.indicator_,
            neighbours=self.n_neighbors,
            temperature=self.temperature,
        )
