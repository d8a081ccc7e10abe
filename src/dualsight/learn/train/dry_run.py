"""A run tried out: every picture opened, one step made and measured, nothing written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

import torch

from dualsight.engine.memory import peak_bytes
from dualsight.learn.train.config import TrainConfig
from dualsight.learn.train.data import picture_problems
from dualsight.learn.train.pairs import TrainingData, find_data, refuse
from dualsight.learn.train.run import Run

Watch = Callable[[Iterable[str | None], int], Iterable[str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a run would be."""

    pairs: int
    validation: int
    labels: tuple[tuple[str, int], ...]  # with the number of training pairs
    steps: int
    trained: int  # parameters
    parameters: int  # all of them
    loss: float  # of the first step
    step_s: float
    peak_bytes: int  # of memory: the device's own, or this process's

    @property
    def hours(self) -> float:
        """How long all steps would take."""
        return self.steps * self.step_s / 3600


def check_everything(config: TrainConfig, watch: Watch = lambda stream, total: stream) -> TrainingData:
    """The data, with every picture opened. Raises TrainingError with all problems of all kinds."""
    data, problems = find_data(config)
    pairs = (*data.pairs, *data.validation)
    found = watch(picture_problems(pairs, config.window, config.workers), len(pairs))
    refuse(problems + [problem for problem in found if problem is not None])
    return data


def try_step(run: Run) -> Trial:
    """One step of the run. Its weights are moved; nothing is written. Raises as `Run.go` does."""
    with closing(run.batches()) as batches:
        batch = next(batches)
    started = time.perf_counter()
    step = run.trainer.step(batch)
    counts = Counter(label for pair in run.data.pairs for label in pair.labels)
    model = run.trainer.model
    return Trial(
        pairs=len(run.data.pairs),
        validation=len(run.data.validation),
        labels=tuple((label, counts[label]) for label in run.data.labels),
        steps=run.steps,
        trained=sum(parameter.numel() for parameter in run.trainer.parameters.values()),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        loss=step.loss,
        step_s=time.perf_counter() - started,
        peak_bytes=peak_memory(run.processes.device),
    )


def peak_memory(device: torch.device) -> int:
    """The most bytes that were in use at once: on a CUDA device by torch, else resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_bytes()
