"""Pairs → batches, in an order and with a variation that depend on nothing but the seed and the step.

    step ──places──▶ (pair, position) ──DataLoader's workers: open, vary──▶ samples ──collate──▶ Batch

Position counts samples from the start of the run: epoch after epoch, each in an order of its own. So a run that goes
on needs to know only its step.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dualsight.errors import ImageError, UnreadableImage
from dualsight.image.frame import Frame
from dualsight.image.prepare import Preprocessing, prepare
from dualsight.learn.train.augment import augment
from dualsight.learn.train.loop import Batch
from dualsight.learn.train.pairs import Pair, TrainingData
from dualsight.learn.train.recipe import Augmentation
from dualsight.text.prompts import PLACEHOLDER
from dualsight.text.tokenizer import Tokenizer

ORDER, SAMPLE, PROMPTS = range(3)  # what a random stream is for


class Sample(NamedTuple):
    """One training pair as a worker hands it over."""

    pixels: Tensor  # float32 [3, H, W]
    text: str
    group: int  # pairs of one group are positives of one another
    label: int  # among all labels; -1 for a pair that has not one


@dataclass(frozen=True, slots=True, kw_only=True)
class Varied(Dataset[Sample | ImageError]):
    """Pairs by (number, position). A picture that cannot be opened is its error: a worker lives on."""

    data: TrainingData
    preprocessing: Preprocessing
    augmentation: Augmentation | None
    window: str
    seed: int
    groups: tuple[int, ...]  # of each pair

    def __getitem__(self, place: tuple[int, int]) -> Sample | ImageError:
        """The pair, varied as its position in the run says."""
        number, position = place
        pair, rng = self.data.pairs[number], np.random.default_rng([self.seed, SAMPLE, position])
        try:
            frame = one_frame(pair, self.window, rng)
            if self.augmentation is None:
                pixels = prepare(frame, self.preprocessing)
            else:
                pixels = augment(frame.pixels, self.preprocessing, self.augmentation, rng)
        except ImageError as error:
            return error
        text = pair.text
        if text is None:
            text = str(rng.choice(self.data.templates)).replace(PLACEHOLDER, ", ".join(pair.labels))
        label = self.data.labels.index(pair.labels[0]) if len(pair.labels) == 1 else -1
        return Sample(torch.from_numpy(pixels), text, self.groups[number], label)


@dataclass(frozen=True, slots=True)
class Opened(Dataset[str | None]):
    """For each pair what is wrong with its picture, or None."""

    pairs: tuple[Pair, ...]
    window: str

    def __getitem__(self, number: int) -> str | None:
        """Decodes the picture's frame."""
        try:
            one_frame(self.pairs[number], self.window)
        except ImageError as error:
            return str(error)
        return None


class Places:
    """A batch sampler: which pairs each step of this process takes, from step `start` on."""

    def __init__(self, pairs: int, batch: int, steps: int, *, seed: int, start: int, share: slice) -> None:
        self.pairs = pairs
        self.batch = batch  # of all processes together
        self.steps = steps
        self.seed = seed
        self.start = start
        self.share = share  # this process's part of every batch

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, np.empty(0, np.int64)
        for step in range(self.start, self.steps):
            places: list[tuple[int, int]] = []
            for position in range(step * self.batch, (step + 1) * self.batch):
                if position // self.pairs != epoch:
                    epoch = position // self.pairs
                    order = np.random.default_rng([self.seed, ORDER, epoch]).permutation(self.pairs)
                places.append((int(order[position % self.pairs]), position))
            yield places[self.share]


def batches(
    dataset: Varied, places: Places, tokenizer: Tokenizer, *, context_length: int, workers: int, class_prompts: bool
) -> Iterator[Batch]:
    """One batch a step. Raises ImageError for a picture that cannot be opened."""
    loader: DataLoader[Sample | ImageError] = DataLoader(
        dataset, batch_sampler=places, num_workers=workers, collate_fn=list, worker_init_fn=_leave_stopping
    )
    for step, samples in enumerate(loader, start=places.start):
        for sample in samples:
            if isinstance(sample, ImageError):
                raise sample
        prompts = _prompts(dataset, step) if class_prompts else []
        yield collate(samples, prompts, tokenizer, context_length)


def picture_problems(pairs: tuple[Pair, ...], window: str, workers: int) -> Iterator[str | None]:
    """What is wrong with each picture, or None, in order: all are opened, by several processes."""
    order = range(len(pairs))
    yield from DataLoader(
        Opened(pairs, window), sampler=order, batch_size=None, num_workers=workers, worker_init_fn=_leave_stopping
    )


def collate(samples: list[Sample], prompts: list[str], tokenizer: Tokenizer, context_length: int) -> Batch:
    """The samples, then the prompts, as tensors."""
    tokens = tokenizer([sample.text for sample in samples] + prompts, context_length=context_length)
    return Batch(
        pixels=torch.stack([sample.pixels for sample in samples]),
        input_ids=torch.from_numpy(tokens.input_ids),
        attention_mask=torch.from_numpy(tokens.attention_mask),
        labels=torch.tensor([sample.group for sample in samples]),
        classes=torch.tensor([sample.label for sample in samples]),
    )


def group_pairs(pairs: tuple[Pair, ...]) -> tuple[int, ...]:
    """A number for each pair: equal where labels are the same set, or where texts of their own are equal."""
    numbers: dict[tuple[str, ...], int] = {}
    keys = [("text", pair.text) if pair.text is not None else ("labels", *sorted(pair.labels)) for pair in pairs]
    return tuple(numbers.setdefault(key, len(numbers)) for key in keys)


def one_frame(pair: Pair, window: str, rng: np.random.Generator | None = None) -> Frame:
    """The picture's only frame; of several one by chance, or without `rng` the middle one. Raises ImageError."""
    frames = pair.frames(window)
    first = next(frames, None)
    if first is None:
        raise UnreadableImage("no picture in it", source=pair.place)
    wanted = first.n_frames // 2 if rng is None else int(rng.integers(first.n_frames))
    return first if wanted == 0 else next(islice(frames, wanted - 1, None), first)


def _leave_stopping(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal: the one that trains stops its workers when it is ready."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _prompts(dataset: Varied, step: int) -> list[str]:
    """A prompt of every label, of one template by chance; the same in every process."""
    rng = np.random.default_rng([dataset.seed, PROMPTS, step])
    return [str(rng.choice(dataset.data.templates)).replace(PLACEHOLDER, label) for label in dataset.data.labels]
