"""Fine-tuning in figures.

    .venv/bin/python benchmarks/fine_tune.py

teaches the demonstration model a finding that it never saw, a swallowed ring, drawn onto every second chest phantom:
phantoms with and without other findings, since on normal ones alone any change is noticed at once. Prints its
zero-shot AUC on held-out patients before and after, and the minutes that took.

    .venv/bin/python benchmarks/fine_tune.py --official FOLDER

makes one step with LoRA on a checkpoint of the official size (recipe weights, made in FOLDER unless there: see
benchmarks/load.py), batch 1 with activation checkpointing. Prints its seconds and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageDraw

import dualsight
from dualsight.engine.processor import has_bfloat16
from dualsight.learn.metrics import roc_auc
from dualsight.learn.phantom.catalogue import HELD_OUT, draw_many
from dualsight.learn.phantom.xray import CHEST
from dualsight.learn.train.config import Lora, ManifestSource, TrainConfig
from dualsight.learn.train.dry_run import try_step
from dualsight.learn.train.recipe import Augmentation, Recipe
from dualsight.learn.train.run import opened

LABELS = ("no swallowed ring", "swallowed ring")
TEMPLATES = tuple(CHEST.prompt(view, "{label}") for view in CHEST.views)
SIZE = 128
RADIUS = 12  # of the ring, in pixels
FIRST = 2 * HELD_OUT  # patients whom neither the demonstration model nor its card knows
TRAINED, MEASURED = 600, 300  # patients, one picture each


def pictures(first: int, n: int) -> Iterator[tuple[Image.Image, str]]:
    """Chests of n patients, every second one with the ring, at a place of chance."""
    for i, phantom in enumerate(draw_many(first, n, size=SIZE, modalities=(CHEST,))):
        picture = Image.fromarray(phantom.pixels)
        if i % 2:
            x, y = np.random.default_rng([phantom.patient, 3]).uniform(SIZE / 4, SIZE * 3 / 4, 2)
            box = (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)
            ImageDraw.Draw(picture).ellipse(box, outline=(235, 235, 235), width=3)
        yield picture, LABELS[i % 2]


def write_pairs(folder: Path, n: int) -> Path:
    """The training pictures and their manifest."""
    manifest = folder / "pairs.csv"
    with manifest.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "patient"])
        for i, (picture, label) in enumerate(pictures(FIRST, n)):
            picture.save(folder / f"{i}.png")
            table.writerow([f"{i}.png", label, f"P{i}"])
    return manifest


def auc(model: dualsight.Model) -> float:
    """Of the new finding, by words alone, on patients that were not trained on."""
    shown, labels = zip(*pictures(FIRST + TRAINED, MEASURED), strict=True)
    answers = model.classify(shown, LABELS, templates=TEMPLATES)
    scores = np.array([answer.as_dict()[LABELS[1]] for answer in answers])
    return roc_auc(scores, np.array([label == LABELS[1] for label in labels]))


def teach() -> None:
    """Before, training, after."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = TrainConfig(
            output=folder / "tuned",
            train=ManifestSource(manifest=write_pairs(folder, TRAINED)),
            templates=TEMPLATES,
            recipe=Recipe(
                epochs=24,
                batch=32,
                learning_rate=5e-4,
                warmup_steps=10,
                ema_decay=0.95,
                precision="bfloat16" if has_bfloat16() else "float32",
                class_prompts=True,
            ),
            augmentation=Augmentation(trivial=False),
            seed=1,
            workers=1,
        )
        before = auc(dualsight.load())
        started, cpu = time.perf_counter(), cpu_seconds()
        with opened(config) as run:
            losses = [step.loss for step in run.go()]
        minutes, cpu = (time.perf_counter() - started) / 60, cpu_seconds() - cpu
        after = auc(dualsight.load(folder / "tuned"))
    line = {
        "pairs": TRAINED,
        "held_out_patients": MEASURED,
        "auc_before": round(before, 3),
        "auc_after": round(after, 3),
    }
    line |= {"minutes": round(minutes, 2), "cpu_minutes": round(cpu / 60, 2)}
    print(json.dumps(line | {"steps": len(losses), "last_loss": round(losses[-1], 3)}))


def cpu_seconds() -> float:
    """Of this process and those it has started: what the work costs, however busy the machine is."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def official_step(folder: Path) -> None:
    """One step on a model of the official size."""
    from load import make

    checkpoint = make(folder)
    with TemporaryDirectory() as name:
        home = Path(name)
        config = TrainConfig(
            model=str(checkpoint),
            output=home / "tuned",
            train=ManifestSource(manifest=write_pairs(home, 4)),
            templates=TEMPLATES,
            recipe=Recipe(batch=1, activation_checkpointing=True, class_prompts=True),
            lora=Lora(rank=8),
            workers=0,
        )
        started = time.perf_counter()
        with opened(config, dry=True) as run:
            ready = time.perf_counter() - started
            trial = try_step(run)
    kept = dataclasses.asdict(trial)
    line = {key: kept[key] for key in ("parameters", "trained", "step_s", "loss")}
    print(json.dumps(line | {"ready_s": round(ready, 1), "peak_gib": round(trial.peak_bytes / 2**30, 2)}))


def main() -> None:
    """Either of the two."""
    parser = argparse.ArgumentParser(description="Figures of fine-tuning.")
    parser.add_argument("--official", type=Path, metavar="FOLDER", help="one step at the official size instead")
    folder = parser.parse_args().official
    if folder is None:
        teach()
    else:
        official_step(folder)


if __name__ == "__main__":
    main()
