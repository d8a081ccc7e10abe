"""Heat maps, one at a time, in a thread of their own: each takes as long as dozens of embeddings. Knows no HTTP.

frame, label ──admit──▶ in turn ──▶ one thread ──▶ Explanation
                                      └─ given up where nobody awaits it any more
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from dualsight.engine.base import Engine
from dualsight.engine.batcher import Batch, Batcher
from dualsight.image.frame import Frame
from dualsight.interface.explained import MethodName
from dualsight.interface.http.limits import ServerLimits
from dualsight.interface.http.metrics import Metrics
from dualsight.task.explain.explain import Explanation, explain_frame, label_target
from dualsight.task.model import Model
from dualsight.text.prompts import PLAIN, check_labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Wanted:
    """A map that a client waits for, until it has left."""

    frame: Frame
    label: str
    against: tuple[str, ...]
    templates: Sequence[str]
    method: MethodName
    left: threading.Event = field(default_factory=threading.Event)


class Maps:
    """A model's heat maps for clients, in turn. Made, used and closed in one event loop."""

    def __init__(self, model: Model, limits: ServerLimits, metrics: Metrics) -> None:
        self._model = model
        self._limits = limits
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, "dualsight-explain")
        self._queue: Batcher[_Wanted, Explanation] = Batcher(
            self._explain, self._thread, max_batch=1, max_items=limits.queued_maps, on_batch=self._count
        )

    async def explain(
        self,
        frame: Frame,
        labels: Sequence[str],
        *,
        client: str,
        against: str | None = None,
        templates: Sequence[str] = PLAIN,
        method: MethodName = "multi-scale",
    ) -> list[Explanation]:
        """A map for each label, against `against` or else against the other labels.

        Raises TextError for labels that cannot be meant; RequestTooLarge or QueueFull for the request as a whole.
        """
        check_labels(labels)
        self._limits.check_prompts([*labels, *(() if against is None else (against,))], templates)
        self._limits.check_maps(len(labels), frame.pixels.shape[0] * frame.pixels.shape[1])
        explanations: list[Explanation] = []
        gauge = self._metrics.in_hand.labels("map")
        with self._queue.admit(len(labels), client) as encode, gauge.track_inprogress():
            for label in labels:
                others = tuple(other for other in labels if other != label) if against is None else (against,)
                wanted = _Wanted(frame=frame, label=label, against=others, templates=templates, method=method)
                try:
                    explanations.append(await encode(wanted))
                finally:
                    wanted.left.set()
        return explanations

    async def close(self) -> None:
        """Waits for what is being computed, and ends the thread."""
        await self._queue.drain()
        self._thread.shutdown()

    def _explain(self, batch: list[_Wanted]) -> list[Explanation]:
        (wanted,) = batch

        def check() -> None:
            if wanted.left.is_set():
                raise NobodyWaits

        model = Model(self._model.checkpoint, _Checked(self._model.engine, check))
        with _CheckedTorch(check):
            target = label_target(self._model, wanted.label, against=wanted.against, templates=wanted.templates)
            return [explain_frame(model, wanted.frame, target, method=wanted.method)]

    def _count(self, batch: Batch) -> None:
        self._metrics.stage_seconds.labels("explain").observe(batch.seconds)


class NobodyWaits(Exception):
    """Whoever wanted a map has left, or its deadline has passed."""


class _CheckedTorch(TorchFunctionMode):
    """Asks before each of this thread's operations of torch whether to go on."""

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self._check = check

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._check()
        return function(*args, **(kwargs or {}))


class _Checked:
    """An engine that asks first whether to go on: not every engine is made of torch."""

    def __init__(self, engine: Engine, check: Callable[[], None]) -> None:
        self._engine = engine
        self._check = check
        self.name, self.precision = engine.name, engine.precision

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """As the engine does."""
        self._check()
        return self._engine.encode_images(pixels)

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """As the engine does."""
        self._check()
        return self._engine.encode_texts(input_ids, attention_mask)
