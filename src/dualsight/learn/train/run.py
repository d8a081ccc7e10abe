"""A run of fine-tuning from beginning to end, in one process or under torchrun.

config ──▶ data, checked ─┐
           model, chosen ─┴─▶ Run.go(): step ⟳ journal, figures, state ──▶ checkpoint, card, report

OUTPUT/
  checkpoint/      the result, in the official layout, with its card: written once, at the end
  report.md        what was done and measured
  metrics.jsonl    every step's loss and rate, and the figures on the validation pairs
  tensorboard/     the same, where wanted
  state/           the last two states, to go on from
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from dualsight.checkpoint.load import Checkpoint, load_checkpoint
from dualsight.errors import ConfigError, OutputError, TrainingError
from dualsight.learn.train.config import CHECKPOINT, METRICS, STATE, TENSORBOARD, TrainConfig
from dualsight.learn.train.data import Places, Varied, batches, group_pairs
from dualsight.learn.train.distributed import Processes, joined, mean_of, share
from dualsight.learn.train.journal import Journal
from dualsight.learn.train.loop import Batch, Step, Trainer
from dualsight.learn.train.measure import Embedder, measure
from dualsight.learn.train.pairs import TrainingData, read_data
from dualsight.learn.train.result import write_result
from dualsight.learn.train.state import has_state, load_state, save_state
from dualsight.learn.train.trainable import choose, save_activations

MAY_CHANGE = ("output", "workers", "save_every", "validate_every", "tensorboard", "device", "parallel")
"""What of a configuration a run can go on with another value of."""


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, has finished its step and kept its state."""


class Run:
    """Everything of a run, put together. `steps` in all, `trainer.done` of them are done."""

    def __init__(self, config: TrainConfig, data: TrainingData, checkpoint: Checkpoint, processes: Processes) -> None:
        recipe = config.recipe
        if recipe.batch % processes.count:
            raise ConfigError(
                f"recipe.batch is {recipe.batch}, which {processes.count} processes cannot share equally",
                hint=f"a multiple of {processes.count}",
            )
        self.config = config
        self.data = data
        self.checkpoint = checkpoint
        self.processes = processes
        self.steps = recipe.steps(len(data.pairs))
        self.identity = _identity(config, data, checkpoint)
        model = checkpoint.model
        torch.manual_seed(config.seed)  # what LoRA begins with
        choose(model, freeze=config.freeze, lora=config.lora)
        if recipe.activation_checkpointing:
            save_activations(model)
        towers = share(model.to(processes.device), config.parallel)
        self.trainer = Trainer(model, recipe, self.steps, seed=config.seed, towers=towers)
        self.embedder = Embedder(
            towers=towers,
            config=checkpoint.config,
            tokenizer=checkpoint.tokenizer,
            processes=processes,
            window=config.window,
        )

    def batches(self) -> Generator[Batch, None, None]:
        """This process's share of the batches that are still to come, on its device."""
        config, count, rank = self.config, self.processes.count, self.processes.rank
        each = config.recipe.batch // count
        dataset = Varied(
            data=self.data,
            preprocessing=self.checkpoint.config.preprocessing,
            augmentation=config.augmentation,
            window=config.window,
            seed=config.seed,
            groups=group_pairs(self.data.pairs),
        )
        places = Places(
            len(self.data.pairs),
            config.recipe.batch,
            self.steps,
            seed=config.seed,
            start=self.trainer.done,
            share=slice(rank * each, (rank + 1) * each),
        )
        for batch in batches(
            dataset,
            places,
            self.checkpoint.tokenizer,
            context_length=self.checkpoint.config.dual.text.context_length,
            workers=config.workers,
            class_prompts=config.recipe.class_prompts,
        ):
            yield batch.to(self.processes.device)

    def resume(self) -> None:
        """Goes on from the last state, if there is one. Raises TrainingError where it is of another run."""
        load_state(self.config.output / STATE, self.trainer, self.identity)

    def go(self, should_stop: Callable[[], bool] = lambda: False) -> Generator[Step, None, None]:
        """Trains to the end, a yielded `Step` at a time, and writes the result.

        should_stop: asked after each step; if one process says yes, the state is kept and Stopped raised.
        Raises ImageError for a picture that cannot be opened, TrainingError where loss or gradients are no numbers,
        OutputError.
        """
        journal = self._journal()
        try:
            if self.trainer.done == 0:
                self._validate(journal)
            with closing(self._trained(journal, should_stop)) as steps:
                yield from steps
        finally:
            if journal is not None:
                journal.close()
        write_result(self.config, self.data, self.processes, self.trainer.average, steps=self.steps)

    def _trained(self, journal: Journal | None, should_stop: Callable[[], bool]) -> Generator[Step, None, None]:
        config, trainer = self.config, self.trainer
        before = time.perf_counter()
        for batch in self.batches():
            step = trainer.step(batch)
            now = time.perf_counter()
            if journal is not None:
                journal.add_step(step, now - before)
            before = now
            stop = mean_of(float(should_stop()), self.processes.device) > 0
            last = trainer.done == self.steps
            if last or trainer.done % config.validate_every == 0:
                self._validate(journal)
            if stop or last or trainer.done % config.save_every == 0:
                save_state(config.output / STATE, trainer, self.identity, self.processes)
            yield step
            if stop and not last:
                raise Stopped

    def _validate(self, journal: Journal | None) -> None:
        if not self.data.validation:
            return
        with self.trainer.averaged():
            figures = measure(self.embedder, self.data, self.trainer.model.logit_scale.item())
        if journal is not None:
            journal.add_figures(self.trainer.done, figures)

    def _journal(self) -> Journal | None:
        """Of the first process; the others write nothing."""
        if not self.processes.is_first:
            return None
        folder = self.config.output
        try:
            folder.mkdir(parents=True, exist_ok=True)
            board = folder / TENSORBOARD if self.config.tensorboard else None
            return Journal(folder / METRICS, done=self.trainer.done, tensorboard=board)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror or error})") from error


@contextmanager
def opened(config: TrainConfig, *, resume: bool = False, dry: bool = False) -> Generator[Run, None, None]:
    """A run that can go: data checked, model loaded and, with `resume`, its last state.

    dry: nothing will be written, so it does not matter what is there already.
    Raises TrainingError with every problem of the data, or where the output has a run already.
    """
    if not dry:
        _check_output(config.output, resume=resume)
    data = read_data(config)
    with joined(config.device) as processes:
        run = Run(config, data, load_checkpoint(config.model), processes)
        if resume:
            run.resume()
        yield run


def _check_output(output: Path, *, resume: bool) -> None:
    if (output / CHECKPOINT).exists():
        raise TrainingError(
            f"{output}: has been trained to its end", hint="choose another `output`, or remove this one"
        )
    if not resume and has_state(output / STATE):
        raise TrainingError(
            f"{output}: has a run that was stopped", hint="go on with --resume, or choose another `output`"
        )


def _identity(config: TrainConfig, data: TrainingData, checkpoint: Checkpoint) -> dict[str, Any]:
    """What a run is: a state is only good for the same."""
    values = asdict(replace(config, output=Path()))
    kept = {key: str(value) for key, value in values.items() if key not in MAY_CHANGE}
    return {**kept, "data": data.digest, "weights": checkpoint.fingerprint}
