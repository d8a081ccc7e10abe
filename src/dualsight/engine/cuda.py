"""The engine for NVIDIA GPUs in bfloat16: the fused encoder as a CUDA graph, fed while it computes.

    pictures ──caller's thread──▶ pinned memory ──copying──▶ GPU ──computing──▶ patches ──graph──▶ embeddings

A graph is captured for a number of pictures when that is first asked for; fewer fill it up with what was there before.
Two streams: the next batch is copied while one is computed, and whoever starts a batch need not wait for it.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dualsight.engine.fused import FusedDaViT, Kernels, covers
from dualsight.engine.staging import Staged, stage
from dualsight.engine.torch import Precision, TorchEngine, find_device
from dualsight.image.prepare import Preprocessing
from dualsight.model.davit import DaViT
from dualsight.model.dual import DualEncoder

MOST = 128  # pictures in a graph; larger batches are several
_STEP = 16  # from here on graphs are made for multiples of it, below for powers of two
_AMPERE = (8, 0)  # the first with bfloat16

Vectors = NDArray[np.float32]


def cuda_engine(model: DualEncoder, device: str, precision: Precision) -> TorchEngine:
    """The quickest engine on an NVIDIA GPU: the fused one where it covers model, precision and card, else torch's own.

    float16 is torch's: what a block adds to is then float32, and cannot grow over float16's largest number.

    Raises EngineError if torch has no such device here.
    """
    found = find_device(device)
    fits = precision == "bfloat16" and covers(model.config.image) and importlib.util.find_spec("triton") is not None
    if fits and torch.cuda.get_device_capability(found) >= _AMPERE:
        return CudaEngine(model, device)
    return TorchEngine(model, device, precision=precision)


class CudaEngine(TorchEngine):
    """Images by `FusedDaViT`; texts in float32 by torch."""

    def __init__(self, model: DualEncoder, device: str) -> None:
        """Raises EngineError if torch has no such device here."""
        from dualsight.engine import kernels

        super().__init__(model, device)
        self.precision = "bfloat16"
        self._kernels: Kernels = kernels
        encoder = cast(DaViT, model.image_encoder)
        self._fused = FusedDaViT(encoder, model.image_projection, torch.bfloat16, kernels)
        self._copying, self._computing = torch.cuda.Stream(self.device), torch.cuda.Stream(self.device)
        self._computing.wait_stream(torch.cuda.current_stream(self.device))  # for the weights
        self._pool = torch.cuda.graph_pool_handle()  # one for all graphs: they never run at the same time
        self._graphs: dict[tuple[int, int, int], _Graph] = {}
        self._colours: dict[Preprocessing | None, Tensor] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Library, precision, device."""
        return f"torch {torch.__version__.split('+')[0]}, {self.precision}, fused, {self.device}"

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised pixels [B, 3, H, W] → embeddings [B, D] of unit length."""
        pinned = torch.from_numpy(pixels).pin_memory()
        waits = [self._start(part, lambda moved: [moved.permute(0, 2, 3, 1)], None) for part in pinned.split(MOST)]
        return np.concatenate([wait() for wait in waits])

    def start_images(
        self, pictures: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing
    ) -> Callable[[], NDArray[np.float32]]:
        """Begins to encode resized pictures [h, w, 3]; what is returned waits for their embeddings [B, D]."""
        begun: list[tuple[Staged, Callable[[], Vectors]]] = []
        for first in range(0, len(pictures), MOST):
            staged = stage(pictures[first : first + MOST], pinned=True)
            begun.append((staged, self._start(staged.pixels, staged.views, preprocessing)))
        return lambda: np.concatenate([staged.in_order(wait()) for staged, wait in begun])

    @torch.inference_mode()
    def _start(
        self, pinned: Tensor, views: Callable[[Tensor], list[Tensor]], preprocessing: Preprocessing | None
    ) -> Callable[[], Vectors]:
        """Begins a graph's pictures. views: of the copy on the GPU, pictures [n, h, w, 3]. preprocessing: of bytes."""
        with self._lock, torch.cuda.stream(self._computing):
            with torch.cuda.stream(self._copying):
                moved = pinned.to(self.device, non_blocking=True)
            self._computing.wait_stream(self._copying)
            moved.record_stream(self._computing)
            pictures = views(moved)
            n, (_, height, width, _) = sum(map(len, pictures)), pictures[0].shape
            graph = self._graph(n, height, width)
            self._fill(graph.patches, pictures, self._colour(preprocessing))
            graph.graph.replay()
            found = torch.empty((n, graph.embeddings.shape[1]), pin_memory=True)
            found.copy_(graph.embeddings[:n], non_blocking=True)
            done = torch.cuda.Event()
            done.record()

        def wait() -> Vectors:
            done.synchronize()
            return cast(Vectors, found.numpy())

        return wait

    def _fill(self, patches: Tensor, pictures: list[Tensor], colour: Tensor) -> None:
        """Patches [room, N, columns] of pictures [n, h, w, 3] each, one after another."""
        scale, shift = colour
        begin = 0
        for some in pictures:
            room = patches[begin : begin + len(some)].flatten(0, 1)
            self._kernels.patches(some, scale, shift, self._fused.stem, room)
            begin += len(some)

    def _graph(self, n: int, height: int, width: int) -> _Graph:
        """The graph for so many pictures of that size or some more, captured when first asked for."""
        room = 1 << (n - 1).bit_length() if n <= _STEP else n + -n % _STEP
        key = room, height, width
        if key not in self._graphs:
            self._graphs[key] = self._capture(*key)
        return self._graphs[key]

    def _capture(self, room: int, height: int, width: int) -> _Graph:
        stem = self._fused.stem
        grid = stem.grid((height, width))
        patches = stem.weight.new_zeros(room, grid[0] * grid[1], stem.weight.shape[1])
        self._fused(patches.flatten(0, 1), grid)  # compiles kernels, and has libraries take their memory
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, self._pool, self._computing, capture_error_mode="thread_local"):
            embeddings = self._fused(patches.flatten(0, 1), grid)
        return _Graph(graph, patches, embeddings)

    def _colour(self, preprocessing: Preprocessing | None) -> Tensor:
        """Scale and shift of each colour [2, 3] that normalise bytes; for numbers that are normalised, 1 and 0."""
        if preprocessing not in self._colours:
            rows = [[1.0] * 3, [0.0] * 3]
            if preprocessing is not None:
                mean, std = preprocessing.mean, preprocessing.std
                rows = [[1 / (255 * s) for s in std], [-m / s for m, s in zip(mean, std, strict=True)]]
            self._colours[preprocessing] = torch.tensor(rows, device=self.device)
        return self._colours[preprocessing]


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    """What turns `patches` into `embeddings`, both always at the same place."""

    graph: torch.cuda.CUDAGraph
    patches: Tensor
    embeddings: Tensor
