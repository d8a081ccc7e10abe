"""`dualsight train`: fine-tunes a model as a YAML file says; tried out first with --dry-run."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Annotated

import typer

from dualsight.interface.cli.stderr import show_line, show_progress, waiting
from dualsight.interface.interrupt import INTERRUPTED

if TYPE_CHECKING:
    from dualsight.learn.train.config import TrainConfig
    from dualsight.learn.train.dry_run import Trial

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="what to train, on what, and how")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="open every picture and make one step; write nothing")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the last state, if there is one")] = False,
) -> None:
    """Fine-tune both encoders, a part of them, or LoRA, on your own pairs. The result is a checkpoint folder.

    Under torchrun its processes share the work: torchrun --nproc-per-node 2 -m dualsight train CONFIG.yaml

    \b
    Example:
      dualsight train chest.yaml --dry-run
    """
    if dry_run and resume:
        raise typer.BadParameter("a dry run begins at the beginning", param_hint="--resume")
    with waiting(f"reading {config}"):
        from dualsight.learn.train.config import read_train_config

        plan = read_train_config(config)
    if dry_run:
        _try_out(plan)
    else:
        _train(plan, config, resume=resume)


def _try_out(plan: TrainConfig) -> None:
    """Prints what a run would be. Raises TrainingError with everything that is wrong with its data."""
    from dualsight.learn.train.dry_run import check_everything, try_step
    from dualsight.learn.train.run import opened

    def watch(stream: Iterable[str | None], total: int) -> Iterable[str | None]:
        return show_progress(stream, "opening pictures", total=total)

    check_everything(plan, watch)
    with waiting("making one step"), opened(plan, dry=True) as run:
        trial = try_step(run)
        is_first = run.processes.is_first
    if is_first:
        for line in _describe(trial):
            typer.echo(line)


def _describe(trial: Trial) -> Iterator[str]:
    yield f"{trial.pairs:,} pairs to train on, {trial.validation:,} to measure on; every picture opens"
    for label, count in trial.labels:
        yield f"  {count:>9,}  {label}"
    yield f"{trial.trained:,} of {trial.parameters:,} parameters are trained"
    yield f"one step: loss {trial.loss:.4f}, {trial.step_s:.2f} s, {trial.peak_bytes / 2**30:.2f} GiB of memory at most"
    yield f"{trial.steps:,} steps would take about {trial.hours:.2g} hours"


def _train(plan: TrainConfig, config: Path, *, resume: bool) -> None:
    from dualsight.learn.train.config import CHECKPOINT, REPORT
    from dualsight.learn.train.run import Stopped, opened

    with opened(plan, resume=resume) as run, stop_on_signal() as asked:
        if run.trainer.done:
            show_line(f"going on after step {run.trainer.done:,} of {run.steps:,}")
        try:
            with closing(run.go(lambda: bool(asked))) as steps:
                for _ in show_progress(steps, "training", total=run.steps - run.trainer.done):
                    pass
        except Stopped:
            show_line(f"stopped after step {run.trainer.done:,} of {run.steps:,}")
            show_line(f"to go on: dualsight train {config} --resume")
            raise typer.Exit(INTERRUPTED) from None
    if run.processes.is_first:
        show_line(f"the checkpoint is in {plan.output / CHECKPOINT}, how it went in {plan.output / REPORT}")


@contextmanager
def stop_on_signal() -> Generator[list[int], None, None]:
    """Within it, the first Ctrl-C or SIGTERM only asks to stop, by filling the list; a second one stops at once."""
    asked: list[int] = []
    if current_thread() is not main_thread():
        yield asked
        return

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        show_line("stopping after this step; once more stops at once, and loses what came after the last state")
        for one, handler in before.items():
            signal.signal(one, handler)

    before = {one: signal.signal(one, ask) for one in SIGNALS}
    try:
        yield asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
