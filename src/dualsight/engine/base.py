"""What an engine is: arrays in, embeddings out. Which library computes is its own affair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import ConfigError
from dualsight.image.prepare import Preprocessing


class Engine(Protocol):
    """Computes embeddings. Safe to call from several threads; the same input gives the same bits."""

    @property
    def name(self) -> str:
        """How it is called in reports: library, precision, device."""
        ...

    @property
    def precision(self) -> str:
        """In which numbers images are computed: float32, bfloat16, float16 or int8."""
        ...

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised pixels [B, 3, H, W] → embeddings [B, D] of unit length.

        The caller fills `pixels` again for its next batch: what is returned shares no memory with it.
        """
        ...

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Token ids [B, L] and their mask → embeddings [B, D] of unit length."""
        ...


@runtime_checkable
class AsyncEngine(Engine, Protocol):
    """An engine on a device of its own: the processor prepares the next batch meanwhile, and sends bytes."""

    def start_images(
        self, pictures: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing
    ) -> Callable[[], NDArray[np.float32]]:
        """Begins to encode one or more resized pictures [h, w, 3]; what is returned waits for their embeddings [B, D].

        Batches are encoded in the order in which they were begun. The pictures may be changed at once.
        """
        ...


def check_batch_size(n: int) -> None:
    """Raises ConfigError for a number of pictures that no batch can have."""
    if n < 1:
        raise ConfigError(f"a batch of {n} pictures", hint="1 or more")
