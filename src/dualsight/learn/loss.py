"""The UniCL loss: contrast between images and texts where several pairs may share a label (arXiv 2204.03610).

n pairs in this process, N in all processes, d width of an embedding.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx


def unicl_loss(image_embeddings: Tensor, text_embeddings: Tensor, labels: Tensor, logit_scale: Tensor) -> Tensor:
    """Mean of image-to-text and text-to-image cross-entropy, over the pairs of all processes; a scalar.

    image_embeddings, text_embeddings: [n, d], unit length, row i of both from pair i.
    labels: int64 [n]; pairs with equal labels are positives of one another. Labels all different: CLIP's loss.
    logit_scale: scalar, stored as a log.

    Where torch.distributed is initialised, each process gives equally many pairs and gets the loss of the joint
    batch; parameter gradients averaged over processes, as DistributedDataParallel does, are those of one process.
    """
    images, texts, labels = (_gather(rows) for rows in (image_embeddings, text_embeddings, labels))
    logits = logit_scale.exp() * images @ texts.T  # [N, N]
    positives = (labels[:, None] == labels).to(logits.dtype)  # [N, N], symmetric
    targets = positives / positives.sum(dim=1, keepdim=True)  # [N, N], rows sum to one
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def class_loss(image_embeddings: Tensor, prompt_embeddings: Tensor, classes: Tensor, logit_scale: Tensor) -> Tensor:
    """Cross-entropy of each image among the prompts of all classes; a scalar.

    UniCL of image-label data, image to text, where every class has its text in the batch (arXiv 2204.03610, section 3).
    image_embeddings: [n, d]. prompt_embeddings: [C, d]. classes: int64 [n], from 0.
    """
    return F.cross_entropy(logit_scale.exp() * image_embeddings @ prompt_embeddings.T, classes)


def _gather(rows: Tensor) -> Tensor:
    """[n, …] of each process → [N, …] of all, by rank."""
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    gathered: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return gathered


class _Gather(torch.autograd.Function):
    """All-gather that hands each process the gradients that all of them have for its rows."""

    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        total = gradient.contiguous().clone()  # [N, …]
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]
