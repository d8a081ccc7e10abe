"""The UniCL loss against its definition in numpy, in one process and in two."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dualsight.learn.loss import class_loss, unicl_loss

PAIRS, WIDTH, SCALE = 12, 5, 2.3
SHARED = [0, 1, 0, 2, 3, 1, 0, 4, 2, 5, 0, 6]  # positives within a half and across the halves


def by_definition(images: NDArray[np.float64], texts: NDArray[np.float64], labels: list[int]) -> float:
    """Spec section 10, in its words."""

    def one_way(logits: NDArray[np.float64]) -> float:
        losses = []
        for row, own in zip(logits, labels, strict=True):
            probabilities = np.exp(row) / np.exp(row).sum()
            target = np.array([float(label == own) for label in labels])
            losses.append(-(target / target.sum() * np.log(probabilities)).sum())
        return float(np.mean(losses))

    logits = np.exp(SCALE) * images @ texts.T
    return (one_way(logits) + one_way(logits.T)) / 2


def embeddings(seed: int) -> Tensor:
    rows = torch.randn(PAIRS, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return nn.functional.normalize(rows, dim=-1)


@pytest.mark.parametrize("labels", [SHARED, list(range(PAIRS)), [0] * PAIRS])
def test_loss_is_its_definition(labels: list[int]) -> None:
    images, texts = embeddings(1), embeddings(2)
    loss = unicl_loss(images, texts, torch.tensor(labels), torch.tensor(SCALE, dtype=torch.float64))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(by_definition(images.numpy(), texts.numpy(), labels), abs=1e-6)


def test_loss_in_float32() -> None:
    images, texts = embeddings(1), embeddings(2)
    loss = unicl_loss(images.float(), texts.float(), torch.tensor(SHARED), torch.tensor(SCALE))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(by_definition(images.numpy(), texts.numpy(), SHARED), abs=1e-6)


def test_gradients_are_those_of_the_definition() -> None:
    inputs = [embeddings(1), embeddings(2), torch.tensor(SCALE, dtype=torch.float64)]
    assert torch.autograd.gradcheck(
        lambda images, texts, scale: unicl_loss(images, texts, torch.tensor(SHARED), scale),
        [x.requires_grad_() for x in inputs],
    )


class Pair(nn.Module):
    """Two linear towers and a logit scale: the smallest dual encoder."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.image, self.text = (
            nn.Parameter(torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)) for _ in range(2)
        )
        self.logit_scale = nn.Parameter(torch.tensor(SCALE, dtype=torch.float64))

    def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        images = nn.functional.normalize(images @ self.image, dim=-1)
        texts = nn.functional.normalize(texts @ self.text, dim=-1)
        return unicl_loss(images, texts, labels, self.logit_scale)


def loss_and_gradients(model: nn.Module, share: slice) -> list[Tensor]:
    loss = model(embeddings(1)[share], embeddings(2)[share], torch.tensor(SHARED)[share])
    loss.backward()
    return [loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


@pytest.mark.e2e
def test_two_processes_are_one(tmp_path: Path) -> None:
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)], env=environment) for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    alone = loss_and_gradients(Pair(), slice(None))
    assert len(alone) == 4
    for rank in range(2):
        together = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for mine, joint in zip(together, alone, strict=True):
            torch.testing.assert_close(mine, joint, atol=1e-9, rtol=0)


def one_of_two(rank: int, folder: Path) -> None:
    """What each process of the test above does: its half of the batch under DistributedDataParallel."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    half = PAIRS // 2
    results = loss_and_gradients(DistributedDataParallel(Pair()), slice(rank * half, (rank + 1) * half))
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    one_of_two(int(sys.argv[1]), Path(sys.argv[2]))


def test_the_class_loss_is_cross_entropy_among_the_prompts() -> None:
    images, prompts = embeddings(1), embeddings(2)[:4]
    classes = torch.arange(PAIRS) % 4
    logits = np.exp(SCALE) * images.numpy() @ prompts.numpy().T
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = -np.log(chances[np.arange(PAIRS), classes.numpy()]).mean()
    loss = class_loss(images, prompts, classes, torch.tensor(SCALE))
    assert loss.item() == pytest.approx(expected, rel=1e-6)
