"""The result in words: the checkpoint's card, and the run's report with how it went."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import asdict

import torch

from dualsight.learn.train.config import METRICS, FolderSource, ManifestSource, Source, TrainConfig
from dualsight.learn.train.journal import read_figures, read_lines
from dualsight.learn.train.measure import Figures
from dualsight.learn.train.pairs import TrainingData

NOTICE = "**Research software: no output of this model is a diagnosis.** It was checked by nobody but its own figures."
ROWS = 12  # of the table of steps

CARD = """\
# A fine-tuned dual encoder

{notice}

- Begun with `{model}` (fingerprint {fingerprint}), {trained:,} parameters trained{how}.
- Data: {data} (digest {digest}).
- {steps:,} steps of {batch} pairs with dualsight's UniCL loss, seed {seed}, torch {torch}.
- What is stored is the running mean of the weights.

## Recipe

| | |
|---|---|
{recipe}

## Measured

{figures}
"""


def card(config: TrainConfig, data: TrainingData, *, base: str, fingerprint: str, steps: int, trained: int) -> str:
    """The card in Markdown: data, recipe, seed, figures, notice."""
    how = f", by LoRA of rank {config.lora.rank}" if config.lora else ""
    if config.freeze:
        how += f"; frozen: {', '.join(f'`{name}`' for name in config.freeze)}"
    recipe = asdict(config.recipe) | {f"augmentation.{k}": v for k, v in _augmentation(config).items()}
    return CARD.format(
        notice=NOTICE,
        model=base,
        fingerprint=fingerprint[:16],
        trained=trained,
        how=how,
        data=_data(config, data),
        digest=data.digest[:16],
        steps=steps,
        batch=config.recipe.batch,
        seed=config.seed,
        torch=torch.__version__,
        recipe="\n".join(f"| {name} | {value} |" for name, value in recipe.items()),
        figures=_figures(read_figures(config.output / METRICS), data),
    )


def report(config: TrainConfig, text: str) -> str:
    """The card, then how loss and figures went."""
    lines = [line for line in read_lines(config.output / METRICS) if "loss" in line]
    chosen = lines[:: max(1, len(lines) // ROWS)]
    if lines and chosen[-1] is not lines[-1]:
        chosen.append(lines[-1])
    rows = [
        f"| {line['step']:,} | {line['loss']:.4f} | {line['learning_rate']:.2e} | {line['gradient_norm']:.3f} |"
        for line in chosen
    ]
    seconds = statistics.median(line["seconds"] for line in lines)
    went = [
        "## How it went",
        "",
        f"{sum(line['seconds'] for line in lines) / 60:.1f} minutes, {seconds:.2f} s a step (median).",
        "",
        "| step | loss | learning rate | gradient norm |",
        "|---|---|---|---|",
        *rows,
        "",
        *_history(read_figures(config.output / METRICS)),
    ]
    return text + "\n" + "\n".join(went)


def _history(figures: list[tuple[int, Figures]]) -> list[str]:
    if not figures:
        return []
    rows = [
        f"| {done:,} | {_number(one.mean_auc)} | {_number(one.accuracy)} | {_number(one.recall_at_10)} |"
        for done, one in figures
    ]
    head = ["| after step | mean AUC | accuracy | recall@10 |", "|---|---|---|---|"]
    return [*head, *rows, ""]


def _augmentation(config: TrainConfig) -> dict[str, object]:
    return {} if config.augmentation is None else asdict(config.augmentation)


def _data(config: TrainConfig, data: TrainingData) -> str:
    """What was trained on, by file name and number; no patient and no picture is named."""
    text = f"{len(data.pairs):,} pairs of {_source(config.train)}"
    patients = {pair.patient for pair in data.pairs if pair.patient}
    if patients:
        text += f", of {len(patients):,} patients"
    if config.validation is not None:
        text += f"; measured on {len(data.validation):,} pairs of {_source(config.validation)}"
    return text


def _source(source: Source) -> str:
    match source:
        case ManifestSource():
            split = f", split {source.split}" if source.split else ""
            return f"the table `{source.manifest.name}`{split}"
        case FolderSource():
            return f"the folder `{source.folder.name}`"
        case _:
            return f"the tables `{source.images.name}` and `{source.texts.name}`"


def _figures(found: list[tuple[int, Figures]], data: TrainingData) -> str:
    if not found:
        return "Nothing was measured: the run had no validation pairs."
    before, after = found[0][1], found[-1][1]
    trained = Counter(label for pair in data.pairs for label in pair.labels)
    old = dict(before.aucs)
    rows = [
        f"| {name} | {_number(was)} | {_number(now)} |"
        for name, was, now in (
            ("mean AUC", before.mean_auc, after.mean_auc),
            ("accuracy", before.accuracy, after.accuracy),
            ("recall@10", before.recall_at_10, after.recall_at_10),
        )
        if now is not None
    ]
    rows += [f"| AUC of {label} ({trained[label]:,} trained on) | {_number(old.get(label))} | {_number(auc)} |"
             for label, auc in after.aucs]  # fmt: skip
    head = (
        f"On {after.pairs:,} pairs that were not trained on, by words alone:\n\n| | before | after |\n|---|---|---|\n"
    )
    return head + "\n".join(rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
