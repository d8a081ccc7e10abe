"""Integrated gradients at several stages, averaged over small shifts: the default.

    picture x, shifted and mirrored a little ─┐
    the same without detail b, at random ─────┴▶ b + α (x - b) ──encoder──▶ gradients at pixels and stages
                                                                        │
    (what a stage makes of x, less what it makes of b) · gradient ──────┴▶ map of each stage ──mean──▶ heat

Along the way from b to x the gradient says how much each token's change adds to the similarity. The pixels share out
exactly by how much the picture is more similar than without its detail (integrated gradients, Sundararajan et al.,
arXiv 1703.01365), the stages about as much (arXiv 1805.05800). Fine stages know where, coarse ones know what.
A stage's grid is seen at many offsets, so that its cells blur into one another instead of showing as blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from dualsight.errors import ConfigError
from dualsight.model.dual import DualEncoder
from dualsight.task.explain.gradients import check_stage, stage_gradients, tokens_of
from dualsight.task.explain.method import Heat, Map, Vector
from dualsight.task.explain.occlusion import blur
from dualsight.task.model import Model

BATCH = 8  # samples at once
BLURS = (0.04, 0.08, 0.16, None)  # standard deviation as a part of the side; None: the mean alone


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiScale:
    """samples: points on the way, each with a shift and a blur of its own. stages: which share, 0 for the pixels.

    shift: the longest, as a part of the picture's side. smooth: standard deviation of the last smoothing, likewise.
    """

    samples: int = 32
    stages: tuple[int, ...] = (0, 3)
    shift: float = 0.07
    smooth: float = 0.04
    seed: int = 0

    def __call__(self, model: Model, pixels: NDArray[np.float32], direction: Vector) -> Heat:
        """Heat in similarity per pixel, one cell a pixel. Raises ConfigError for stages that the encoder has not."""
        maps = self.by_stage(model, pixels, direction)  # [stages, H, W]
        sigma = [0.0, *(self.smooth * side for side in maps.shape[1:])]
        smoothed = ndimage.gaussian_filter(maps, sigma, mode="nearest")
        spread = smoothed.std(axis=(1, 2), keepdims=True) + np.finfo(np.float32).tiny
        values = (smoothed / spread).mean(axis=0) * spread.mean()  # a fine stage is no louder than a coarse one
        return Heat(values=np.asarray(values, np.float32), unit="similarity per pixel")

    def by_stage(self, model: Model, pixels: NDArray[np.float32], direction: Vector) -> Map:
        """float32 [stages, H, W]: similarity per pixel by each stage, not smoothed."""
        self._check(model)
        dual = model.checkpoint.model
        device = dual.logit_scale.device
        generator = torch.Generator().manual_seed(self.seed)
        moves = [_Move()] + [_Move.draw(generator, self.shift, pixels.shape[1:]) for _ in range(self.samples - 1)]
        way = (torch.arange(self.samples) + torch.rand(self.samples, generator=generator)) / self.samples  # from b to x
        picture = torch.from_numpy(pixels).to(device)
        blurred = [torch.from_numpy(without_detail(pixels, part)).to(device) for part in BLURS]
        target = torch.from_numpy(direction).to(device)
        sums, counts = picture.new_zeros(len(self.stages), *pixels.shape[1:]), picture.new_zeros(pixels.shape[1:])
        for numbers in torch.arange(self.samples).split(BATCH):
            x = torch.stack([moves[i].apply(picture) for i in numbers])
            b = torch.stack([moves[i].apply(blurred[i % len(BLURS)]) for i in numbers])
            given = shares(dual, x, b, way[numbers].to(device), target, self.stages)  # [stages, B, H, W]
            for i, share in zip(numbers, given.unbind(1), strict=True):
                sums += moves[i].undo(share)
                counts += moves[i].undo(torch.ones_like(counts))
        return np.asarray((sums / counts).cpu().numpy(), np.float32)

    def _check(self, model: Model) -> None:
        for stage in self.stages:
            if stage != 0:
                check_stage(stage, len(model.config.dual.image.depths))
        if self.samples < 1 or not self.stages:
            raise ConfigError("nothing to average over", hint="at least one sample and one stage")


def without_detail(pixels: NDArray[np.float32], part: float | None) -> NDArray[np.float32]:
    """The picture [3, H, W] blurred by that part of its side, or the mean of each channel."""
    if part is None:
        return np.broadcast_to(pixels.mean(axis=(1, 2), keepdims=True), pixels.shape).copy()
    return blur(pixels, part)


def shares(dual: DualEncoder, x: Tensor, b: Tensor, way: Tensor, target: Tensor, stages: tuple[int, ...]) -> Tensor:
    """[stages, B, H, W]: what each stage makes of x [B, 3, H, W] beyond b, times the gradient on the way [B]."""
    height, width = x.shape[-2:]
    with torch.no_grad():
        change = [end - start for end, start in zip(tokens_of(dual, x), tokens_of(dual, b), strict=True)]
    between = stage_gradients(dual, b + way.view(-1, 1, 1, 1) * (x - b), target)
    maps: list[Tensor] = []
    for stage in stages:
        grid = between[stage].grid
        values = (change[stage] * between[stage].gradient).sum(-1).unflatten(1, grid)[:, None]  # [B, 1, h, w]
        spread = F.interpolate(values, (height, width), mode="bicubic", align_corners=False)[:, 0]
        maps.append(spread * (grid[0] * grid[1] / (height * width)))
    return torch.stack(maps)


@dataclass(frozen=True, slots=True)
class _Move:
    """A picture moved by whole pixels, what comes in at its edges mirrored, and then perhaps turned left to right."""

    down: int = 0
    right: int = 0
    is_mirrored: bool = False

    @staticmethod
    def draw(generator: torch.Generator, longest: float, shape: tuple[int, ...]) -> _Move:
        """One by chance, at most `longest` of the sides (height, width)."""
        down, right = (
            int(torch.randint(-int(longest * side), int(longest * side) + 1, (), generator=generator)) for side in shape
        )
        return _Move(down, right, bool(torch.randint(2, (), generator=generator)))

    def apply(self, picture: Tensor) -> Tensor:
        """[C, H, W] → the same."""
        height, width = picture.shape[-2:]
        rows, columns = abs(self.down), abs(self.right)
        moved = F.pad(picture[None], (columns, columns, rows, rows), mode="reflect")[0]
        moved = moved[..., rows - self.down :, columns - self.right :][..., :height, :width]
        return moved.flip(-1) if self.is_mirrored else moved

    def undo(self, values: Tensor) -> Tensor:
        """[…, H, W] in the moved picture → in the picture itself; 0 where the moved one does not show it."""
        height, width = values.shape[-2:]
        values = values.flip(-1) if self.is_mirrored else values
        kept = values[..., max(0, self.down) : height + self.down, max(0, self.right) : width + self.right]
        kept = kept[..., : height - abs(self.down), : width - abs(self.right)]
        left, top = max(0, -self.right), max(0, -self.down)
        return F.pad(kept, (left, abs(self.right) - left, top, abs(self.down) - top))
