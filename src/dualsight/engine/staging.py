"""Pictures on their way to a device: their bytes in one piece of memory, and what they are there.

numpy gives Python's lock away for each copy, and beside sixteen threads that read from decoders has to wait for it
each time; a memoryview keeps it. So what is copied here are whole rows of bytes: grey pictures lie with their one
channel, before those of colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """uint8 [bytes] of grey pictures [h, w], then of others [h, w, 3]; `places` tells where the caller's n-th is."""

    pixels: Tensor
    size: tuple[int, int]
    n_grey: int
    places: NDArray[np.intp]

    def views(self, moved: Tensor) -> list[Tensor]:
        """The pictures in a copy of `pixels`, as they lie: one or two tensors [n, h, w, 3]."""
        height, width = self.size
        n_bytes = self.n_grey * height * width
        grey = moved[:n_bytes].view(-1, height, width, 1).expand(-1, -1, -1, 3)
        colour = moved[n_bytes:].view(-1, height, width, 3)
        return [some for some in (grey, colour) if len(some)]

    def in_order(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows of pictures as they lie → as the caller gave them."""
        return rows[self.places]


def stage(pictures: Sequence[NDArray[np.uint8]], *, pinned: bool) -> Staged:
    """Copies one or more pictures [h, w, 3] of one size. A grey one has its channel only once: its last stride is 0."""
    height, width, _ = pictures[0].shape
    is_grey = np.array([picture.strides[2] == 0 for picture in pictures])
    order = np.argsort(~is_grey, kind="stable")
    n_grey = int(is_grey.sum())
    n_bytes = (n_grey + 3 * (len(pictures) - n_grey)) * height * width
    pixels = torch.empty(n_bytes, dtype=torch.uint8, pin_memory=pinned)
    room, begin = pixels.numpy().data, 0
    for i in order:
        shown = pictures[i][:, :, 0] if is_grey[i] else pictures[i]
        data = np.ascontiguousarray(shown).data.cast("B")
        room[begin : begin + len(data)] = data
        begin += len(data)
    return Staged(pixels, (height, width), n_grey, np.argsort(order))
