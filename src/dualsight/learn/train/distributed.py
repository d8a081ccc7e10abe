"""Several processes, one run: what torchrun started, and what they tell one another.

Each has its share of every batch; features are gathered with their gradient (`learn.loss`), and parameter gradients
averaged: by DistributedDataParallel over whole models, or by FSDP2, which shares the weights out as well.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from dualsight.errors import EngineError
from dualsight.learn.train.trainable import BLOCKS
from dualsight.model.dual import DualEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """This process among all of a run."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0


@contextmanager
def joined(device: str) -> Generator[Processes, None, None]:
    """The run's processes: those of torchrun, or this one alone. `device`: cpu, cuda, or auto.

    Raises EngineError where there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError("no CUDA device here", hint="device: cpu, or auto")
    kind = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    if "WORLD_SIZE" not in os.environ:
        yield Processes(rank=0, count=1, device=torch.device(kind))
        return
    place = torch.device(kind, int(os.environ["LOCAL_RANK"])) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Processes(rank=dist.get_rank(), count=dist.get_world_size(), device=place)
    finally:
        dist.destroy_process_group()


class Towers(nn.Module):
    """Both encoders as one call, which is what DDP and FSDP2 wrap."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image embeddings [n, D], text embeddings [m, D], both float32, and the scale as stored; n or m may be 0."""
        nothing = pixels.new_empty(0, self.model.config.projection)
        images = self.model.encode_image(pixels).float() if len(pixels) else nothing
        texts = self.model.encode_text(input_ids, attention_mask).float() if len(input_ids) else nothing
        return images, texts, self.model.logit_scale


def share(model: DualEncoder, how: Literal["ddp", "fsdp"]) -> nn.Module:
    """`Towers` of the model; with several processes, wrapped so that their gradients become one."""
    towers = Towers(model)
    if not dist.is_initialized():
        return towers
    if how == "ddp":
        return DistributedDataParallel(towers)
    whole = {model.logit_scale}  # a scalar cannot be shared out
    for module in list(model.modules()):
        if isinstance(module, BLOCKS):
            fully_shard(module)
    fully_shard(towers, ignored_params=whole)  # in place
    return towers


def one_sync(towers: nn.Module, *, last: bool) -> AbstractContextManager[None]:
    """Gradients are exchanged only at the last of several passes."""
    if isinstance(towers, DistributedDataParallel):
        return nullcontext() if last else towers.no_sync()
    if isinstance(towers, FSDPModule):
        towers.set_requires_gradient_sync(last)
    return nullcontext()


def average_whole(towers: nn.Module, scale: nn.Parameter) -> None:
    """The gradient of what FSDP2 left whole, averaged over processes; DDP has done so already."""
    if isinstance(towers, FSDPModule) and scale.grad is not None:
        dist.all_reduce(scale.grad)
        scale.grad /= dist.get_world_size()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be shared out; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def put(into: Tensor, tensor: Tensor) -> None:
    """Copies a whole tensor into one that may be shared out."""
    if isinstance(into, DTensor):
        tensor = distribute_tensor(tensor.to(into.device), into.device_mesh, into.placements)
    into.detach().copy_(tensor)


def mean_of(value: float, device: torch.device) -> float:
    """The mean over processes."""
    if not dist.is_initialized():
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.item() / dist.get_world_size()


def gathered(rows: Tensor) -> Tensor:
    """[n, D] of each process → [n · processes, D], by row, then by process: what was dealt out in turn."""
    if not dist.is_initialized():
        return rows
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)
