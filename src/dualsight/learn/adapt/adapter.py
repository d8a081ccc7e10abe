"""An adapter: a fitted head, the labels it names, and the model whose embeddings it was made for.

pictures ──Model.embed──▶ embeddings ──head──▶ probabilities ──thresholds──▶ Prediction
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import AdapterError
from dualsight.image.reading import Reading
from dualsight.learn.adapt.head import Floats, Head
from dualsight.learn.adapt.linear import LinearProbe
from dualsight.learn.adapt.mlp import MlpAdapter
from dualsight.learn.adapt.nearest import KNearest
from dualsight.learn.adapt.thresholds import Thresholds
from dualsight.learn.adapt.tip import TipAdapter
from dualsight.task.classify import Classification, ranked
from dualsight.task.embed import Embedded, Failed
from dualsight.task.model import Model
from dualsight.task.pool import Per, Pool
from dualsight.task.prepared import Images

Kind = Literal["linear", "knn", "mlp", "tip"]
HEADS: Mapping[Kind, type[Head]] = {"linear": LinearProbe, "knn": KNearest, "mlp": MlpAdapter, "tip": TipAdapter}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction(Classification):
    """What an adapter makes of one picture, series or study. Never a diagnosis.

    above_youden, above_sens90: whether each of `labels` reaches its threshold; None for a label that has none.
    """

    above_youden: tuple[bool | None, ...]
    above_sens90: tuple[bool | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapter:
    """A head that was fitted to embeddings of one model.

    head: classes_ 0…k-1 stand for `labels`. model, fingerprint: the name and hash of the model that made the
    embeddings. thresholds: by label, of those that held-out examples gave any.
    """

    kind: Kind
    head: Head
    labels: tuple[str, ...]
    model: str
    fingerprint: str
    thresholds: Mapping[str, Thresholds]

    @property
    def is_multilabel(self) -> bool:
        """Whether several labels may be true of a picture."""
        return bool(self.head.is_multilabel_)

    def predict_proba(self, vectors: NDArray[np.floating]) -> Floats:
        """float64 [n, k] of embeddings [n, D], in the order of `labels`."""
        return self.head.predict_proba(vectors)

    def predict(
        self,
        model: Model,
        images: Images,
        *,
        per: Per = "image",
        pool: Pool = "mean",
        reading: Reading | None = None,
        batch_size: int = 8,
    ) -> list[Prediction]:
        """Labels by falling probability, for each picture; `images` and the rest as for `Model.embed`.

        Raises AdapterError for another model than the adapter was made for, ImageError for the first bad picture.
        """
        stream = self.iter_predict(model, images, per=per, pool=pool, reading=reading, batch_size=batch_size)
        return [_sound(result) for result in stream]

    def iter_predict(
        self,
        model: Model,
        images: Images,
        *,
        per: Per = "image",
        pool: Pool = "mean",
        reading: Reading | None = None,
        batch_size: int = 8,
    ) -> Iterator[Prediction | Failed]:
        """`predict` as a stream; a bad picture is a `Failed` in its place. Raises AdapterError for another model."""
        self.check_model(model)
        stream = model.embed(images, per=per, pool=pool, reading=reading or Reading(), batch_size=batch_size)
        return (item if isinstance(item, Failed) else self._predict(item) for item in stream)

    def check_model(self, model: Model) -> None:
        """Raises AdapterError unless `model` is the one whose embeddings the adapter was made for."""
        if model.fingerprint != self.fingerprint:
            raise AdapterError(
                f"the adapter was made for the model {self.model} ({self.fingerprint[:12]}…), and this is "
                f"{model.name} ({model.fingerprint[:12]}…)",
                hint="give that model with --model, or train the adapter again",
            )

    def _predict(self, item: Embedded) -> Prediction:
        names, falling = ranked(self.labels, self.predict_proba(item.vector[None])[0])
        cuts = [(self.thresholds.get(name), value) for name, value in zip(names, falling, strict=True)]
        return Prediction(
            source=item.source,
            frame_index=item.frame_index,
            n_frames=item.n_frames,
            meta=item.meta,
            labels=names,
            probabilities=falling,
            multilabel=self.is_multilabel,
            above_youden=tuple(None if cut is None else value >= cut.youden for cut, value in cuts),
            above_sens90=tuple(None if cut is None else value >= cut.sens90 for cut, value in cuts),
        )


def _sound(result: Prediction | Failed) -> Prediction:
    if isinstance(result, Failed):
        raise result.error
    return result
