"""The training loop's step: a batch in, better weights out.

    batch ──towers──▶ embeddings ──UniCL──▶ loss ──gradients, clipped──▶ optimisers ──▶ weights ──▶ running mean

A step's randomness (stochastic depth, LoRA's dropout) is seeded by its number: nothing random has to be remembered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dualsight.errors import TrainingError
from dualsight.learn.loss import class_loss, unicl_loss
from dualsight.learn.train.distributed import Towers, average_whole, mean_of, one_sync, whole
from dualsight.learn.train.optimizer import by_kind, learning_rate, optimizers
from dualsight.learn.train.recipe import Recipe
from dualsight.model.dual import DualEncoder

MAX_LOGIT_SCALE = math.log(100.0)  # as in CLIP: the scale may not run away


@dataclass(frozen=True, slots=True)
class Batch:
    """n pairs of a picture and a text, then the prompts of C classes. Pairs with equal labels are all positives."""

    pixels: Tensor  # float32 [n, 3, H, W], normalised
    input_ids: Tensor  # int64 [n + C, L]
    attention_mask: Tensor  # int64 [n + C, L]
    labels: Tensor  # int64 [n]
    classes: Tensor  # int64 [n], from 0; unused where C is 0

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        rows = (self.pixels, self.input_ids, self.attention_mask, self.labels, self.classes)
        return Batch(*(row.to(device, non_blocking=True) for row in rows))


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    index: int  # from 0
    loss: float
    learning_rate: float
    logit_scale: float  # as stored: a logarithm
    gradient_norm: float  # before clipping


Loss = Callable[[Tensor, Tensor, Tensor, Batch], Tensor]
"""loss(image embeddings [n, D], text embeddings [n + C, D], logit scale, batch) → a scalar."""


class Trainer:
    """A model whose parameters with `requires_grad` are trained in place, step by step.

    towers: the model as `distributed.share` wraps it; None: this process alone. loss: None for `pair_loss`.
    """

    def __init__(
        self,
        model: DualEncoder,
        recipe: Recipe,
        steps: int,
        *,
        seed: int = 0,
        towers: nn.Module | None = None,
        loss: Loss | None = None,
    ) -> None:
        self.model = model.train()
        self.recipe = recipe
        self.steps = steps
        self.seed = seed
        self.towers = towers or Towers(model)
        self.loss = loss or pair_loss
        self.done = 0  # steps
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.optimizers = optimizers(self.parameters, recipe)

    def step(self, batch: Batch) -> Step:
        """Moves the weights once. Raises TrainingError, and moves none, where loss or gradients are no numbers."""
        rate = learning_rate(self.done, self.recipe, self.steps)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
        with repeatable(batch.pixels.device), attention_kernel(batch.pixels.device):
            loss = self._gradients(batch)
        self._check("the loss", loss)
        average_whole(self.towers, self.model.logit_scale)
        norm = _clip(list(self.parameters.values()), self.recipe.clip_norm)
        self._check("the gradient's norm", norm)
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        self._average()
        self.done += 1
        return Step(self.done - 1, loss, rate, self.model.logit_scale.item(), norm)

    def _check(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"step {self.done + 1}: {what} is {value}", hint="a lower recipe.learning_rate may help"
            )

    @contextmanager
    def averaged(self) -> Generator[None, None, None]:
        """Within it the model has its running mean as weights, and is in evaluation mode."""
        self._exchange()
        self.model.eval()
        try:
            yield
        finally:
            self._exchange()
            self.model.train()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, parameter in self.parameters.items():
            mean = self.average[name].clone()
            self.average[name].copy_(parameter)
            parameter.copy_(mean)

    @torch.no_grad()
    def _average(self) -> None:
        """Follows the weights closely at first, then by `ema_decay`."""
        share = 1 - min(self.recipe.ema_decay, (1 + self.done) / (10 + self.done))
        means = {id(p): self.average[name] for name, p in self.parameters.items()}
        for alike in by_kind(list(self.parameters.values())):
            average, now = [means[id(p)] for p in alike], list[Tensor](alike)
            # torch has it under no public name
            torch._foreach_lerp_(average, now, share)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]

    def _gradients(self, batch: Batch) -> float:
        """The loss of a batch over all processes; its gradients are left at the parameters.

        In micro-batches the embeddings come first, without a graph, then the loss and its gradient for them, then
        each micro-batch's own: the loss stays that of the whole batch (arXiv 2101.06983).
        """
        micro = self.recipe.micro_batch or len(batch.pixels)
        parts = _parts(batch, math.ceil(len(batch.pixels) / micro))
        if len(parts) == 1:
            images, texts, scale = self._embed(batch, 0)
            loss = self.loss(images, texts, scale, batch)
            loss.backward()
            return mean_of(loss.item(), batch.pixels.device)
        with torch.no_grad():
            embedded = [self._embed(part, number) for number, part in enumerate(parts)]
        images, texts = (torch.cat(rows).requires_grad_() for rows in list(zip(*embedded, strict=True))[:2])
        scale = self.model.logit_scale.detach().clone().requires_grad_()
        loss = self.loss(images, texts, scale, batch)
        gradients = torch.autograd.grad(loss, (images, texts, scale))
        split = [gradient.tensor_split(len(parts)) for gradient in gradients[:2]]
        for number, (part, for_images, for_texts) in enumerate(zip(parts, *split, strict=True)):
            last = number == len(parts) - 1
            with one_sync(self.towers, last=last):
                made = self._embed(part, number)
                for_scale = gradients[2] if last else torch.zeros_like(gradients[2])
                pairs = zip(made, (for_images, for_texts, for_scale), strict=True)
                wanted = [(tensor, gradient) for tensor, gradient in pairs if tensor.requires_grad]
                torch.autograd.backward([tensor for tensor, _ in wanted], [gradient for _, gradient in wanted])
        return mean_of(loss.item(), batch.pixels.device)

    def _embed(self, part: Batch, number: int) -> tuple[Tensor, Tensor, Tensor]:
        rank = dist.get_rank() if dist.is_initialized() else 0
        device, bfloat16 = part.pixels.device, self.recipe.precision == "bfloat16"
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            torch.autocast(device.type, torch.bfloat16, enabled=bfloat16),
        ):
            torch.manual_seed(stream(self.seed, self.done, rank, number))
            images, texts, scale = self.towers(part.pixels, part.input_ids, part.attention_mask)
        return images, texts, scale


def fit(
    model: DualEncoder, batches: Iterable[Batch], recipe: Recipe, steps: int, *, loss: Loss | None = None
) -> Iterator[Step]:
    """Trains `model` in place, one yielded `Step` at a time; at the end its weights are their running mean.

    `batches` ends the training if it ends before `steps`.
    """
    trainer = Trainer(model, recipe, steps, loss=loss)
    for _, batch in zip(range(steps), batches, strict=False):
        yield trainer.step(batch)
    with torch.no_grad():
        for name, parameter in trainer.parameters.items():
            parameter.copy_(trainer.average[name])
    model.eval()


def pair_loss(images: Tensor, texts: Tensor, logit_scale: Tensor, batch: Batch) -> Tensor:
    """UniCL over the pairs, and each picture among the prompts of all classes; a scalar.

    images: [n, D]; texts: [n + C, D]; both of unit length.
    """
    n = len(images)
    loss = unicl_loss(images, texts[:n], batch.labels, logit_scale)
    if len(texts) > n:
        loss = loss + class_loss(images, texts[n:], batch.classes, logit_scale)
    return loss


@contextmanager
def repeatable(device: torch.device) -> Generator[None, None, None]:
    """The same bits each time: embeddings' gradients are otherwise summed in whichever order threads come.

    On CUDA as far as torch can, with a warning where it cannot.
    """
    before, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn)


@contextmanager
def attention_kernel(device: torch.device) -> Generator[None, None, None]:
    """On a CPU plain attention: windows are short, and the fused kernel's backward takes several times as long."""
    with sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext():
        yield


def stream(*numbers: int) -> int:
    """A seed of its own for each combination of numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _parts(batch: Batch, count: int) -> list[Batch]:
    """The batch in so many pieces of nearly equal size, texts dealt out like pictures."""
    rows = (batch.pixels, batch.input_ids, batch.attention_mask, batch.labels, batch.classes)
    return [Batch(*part) for part in zip(*(row.tensor_split(count) for row in rows), strict=True)]


def _clip(parameters: list[nn.Parameter], most: float) -> float:
    """The norm of all gradients together, which are made shorter where it is more than `most`."""
    kinds = by_kind(parameters)
    gradients = [[p.grad for p in alike if p.grad is not None] for alike in kinds]
    norms = [whole(nn.utils.get_total_norm(kind)) for kind in gradients]
    total = norms[0] if len(norms) == 1 else torch.stack(norms).norm()
    for alike in kinds:
        nn.utils.clip_grads_with_norm_(alike, most, total)
    return total.item()
