"""The demonstration checkpoint: drawn, trained, measured and written from one seed.

    python -m dualsight.learn.demo FOLDER          (`make demo-checkpoint`)

Phantoms of training patients → UniCL → a checkpoint folder with its card. It shows that everything works
with nothing downloaded; it knows procedural pictures only.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dualsight.checkpoint.config import ModelConfig, parse_config
from dualsight.checkpoint.save import write_weights
from dualsight.engine.processor import has_bfloat16, model_name
from dualsight.errors import OutputError
from dualsight.image.prepare import resize
from dualsight.learn.card import Training, card
from dualsight.learn.deep_supervision import PlacedBatch, supervised
from dualsight.learn.phantom.captions import caption
from dualsight.learn.phantom.catalogue import HELD_OUT, MODALITIES, draw_many
from dualsight.learn.phantom.pairs import draw_pairs
from dualsight.learn.phantom.questions import CLASS_OF, CLASSES, Questions
from dualsight.learn.train.loop import fit
from dualsight.learn.train.recipe import Recipe
from dualsight.learn.zero_shot import ZeroShotReport, measure, show
from dualsight.model.config import DaViTConfig
from dualsight.model.dual import DualEncoder
from dualsight.task.model import load
from dualsight.text.tokenizer import Tokenizer

SEED = 20_261_124
PICTURES = 100_000
BATCH = 64
CHUNK = 500
CAPTIONS_EACH = 4  # different wordings drawn for each picture
MEASURED = 3_000  # held-out phantoms
HARD = {"mammography": 4, "ct": 4, "x-ray": 3, "ultrasound": 2, "mri": 2, "oct": 2, "histopathology": 2}
"""How often a modality is drawn for each picture of the others: small and faint findings take longest to learn."""
TAUGHT = tuple(modality for modality in MODALITIES for _ in range(HARD.get(modality.name, 1)))

CONFIG = """\
# dualsight's demonstration model: MedImageInsight's architecture, small.
IMAGE_ENCODER:
  NAME: davit_v1
  NUM_CLASSES: 0
  IMAGE_SIZE: [112, 112]
  IMAGE_MEAN: [0.485, 0.456, 0.406]
  IMAGE_STD: [0.229, 0.224, 0.225]
  SPEC:
    DROP_PATH_RATE: 0.0
    PATCH_SIZE: [7, 3, 3, 3]
    PATCH_STRIDE: [4, 2, 2, 2]
    PATCH_PADDING: [3, 1, 1, 1]
    PATCH_PRENORM: [false, true, true, true]
    DIM_EMBED: [32, 64, 128, 256]
    NUM_HEADS: [2, 4, 8, 16]
    NUM_GROUPS: [2, 4, 8, 16]
    DEPTHS: [1, 1, 2, 1]
    WINDOW_SIZE: 7
LANG_ENCODER:
  NAME: transformer
  TOKENIZER: clip
  CONTEXT_LENGTH: 77
  WIDTH: 96
  HEADS: 4
  LAYERS: 2
  AUTOGRESSIVE: false
UNICL_MODEL:
  DIM_PROJECTION: 128
AUG:
  INTERPOLATION: bicubic
TEST:
  CENTER_CROP: false
"""
MODEL = parse_config(CONFIG)
SUPERVISED = 2  # the stage, from 0, that is told where a finding is
CELLS = MODEL.preprocessing.height // prod(cast("DaViTConfig", MODEL.dual.image).patch_stride[: SUPERVISED + 1])
"""A side of its grid."""
RECIPE = Recipe(
    epochs=3.2,
    batch=BATCH,
    optimizer="muon",
    learning_rate=1e-3,
    final_learning_rate=0.0,
    warmup_steps=100,
    weight_decay=0.05,
    betas=(0.9, 0.98),
    clip_norm=1.0,
    ema_decay=0.995,
)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """n phantoms to train on, two of each patient in turn (`phantom.pairs`).

    images: uint8 [n, H, W, 3]. captions: CAPTIONS_EACH of each. classes: int64 [n], into CLASSES.
    sides: [n], "left", "right" or "" for none. places: bool [n, CELLS²], whether any of the finding is there.
    """

    images: NDArray[np.uint8]
    captions: list[list[str]]
    classes: NDArray[np.int64]
    sides: NDArray[np.str_]
    places: NDArray[np.bool_]


def draw_chunk(task: tuple[int, int]) -> Drawn:
    """The training set's phantoms from number `first` on, CHUNK of them.

    One in six chunks is drawn larger and resized, as a user's pictures are.
    """
    first, seed = task
    rng = np.random.default_rng([seed, first])
    size = MODEL.preprocessing.height * (2 if first // CHUNK % 6 == 5 else 1)
    pictures, captions, classes, sides, places = [], [], [], [], []
    for phantom in draw_pairs(first // 2, CHUNK // 2, size=size, modalities=TAUGHT):
        pictures.append(resize(phantom.pixels, MODEL.preprocessing))
        captions.append([caption(phantom, rng) for _ in range(CAPTIONS_EACH)])
        classes.append(CLASS_OF[phantom.modality.name, phantom.finding])
        sides.append(phantom.side or "")
        places.append(phantom.mask.reshape(CELLS, size // CELLS, CELLS, size // CELLS).any((1, 3)).ravel())
    return Drawn(np.stack(pictures), captions, np.array(classes), np.array(sides), np.stack(places))


def draw_all(pictures: int, seed: int, progress: Progress) -> Drawn:
    """The training set, drawn by as many processes as there are cores."""
    task = progress.add_task("drawing phantoms", total=pictures)
    starts = range(0, pictures, CHUNK)
    images = np.empty((len(starts) * CHUNK, MODEL.preprocessing.height, MODEL.preprocessing.width, 3), np.uint8)
    captions: list[list[str]] = []
    classes: list[NDArray[np.int64]] = []
    sides: list[NDArray[np.str_]] = []
    places: list[NDArray[np.bool_]] = []
    with _one_thread_each(), multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for start, chunk in zip(starts, pool.imap(draw_chunk, [(i, seed) for i in starts]), strict=True):
            images[start : start + CHUNK] = chunk.images
            captions.extend(chunk.captions)
            classes.append(chunk.classes)
            sides.append(chunk.sides)
            places.append(chunk.places)
            progress.advance(task, CHUNK)
    return Drawn(images, captions, np.concatenate(classes), np.concatenate(sides), np.concatenate(places))


@contextmanager
def _one_thread_each() -> Generator[None, None, None]:
    """Processes started here compute in one thread: two that each take all cores only wait for one another."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def batches(drawn: Drawn, config: ModelConfig, rng: np.random.Generator) -> Iterator[PlacedBatch]:
    """Shuffled epochs without end, all modalities mixed, a patient's two pictures together.

    Equal captions are one class (UniCL). Each batch brings the prompts of a question too, and where its findings are.
    """
    tokenizer = Tokenizer.packaged()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (config.preprocessing.mean, config.preprocessing.std))
    questions = Questions(drawn.classes, drawn.sides)
    healthy = np.array([CLASS_OF[modality.name, None] for modality, _ in CLASSES])[drawn.classes]
    cells = np.where(drawn.places, drawn.classes[:, None], healthy[:, None])
    while True:
        order = (2 * rng.permutation(len(drawn.images) // 2)[:, None] + np.arange(2)).ravel()
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            texts = [drawn.captions[i][rng.integers(CAPTIONS_EACH)] for i in chosen]
            _, labels = np.unique(texts, return_inverse=True)
            prompts, answers = questions.ask(chosen, rng)
            tokens = tokenizer(texts + prompts)
            pixels = torch.from_numpy(drawn.images[chosen]).permute(0, 3, 1, 2).float() / 255  # [B, 3, H, W]
            yield PlacedBatch(
                pixels=(pixels - mean) / std,
                input_ids=torch.from_numpy(tokens.input_ids),
                attention_mask=torch.from_numpy(tokens.attention_mask),
                labels=torch.from_numpy(labels),
                classes=torch.from_numpy(answers),
                found=torch.from_numpy(drawn.places[chosen]),
                cells=torch.from_numpy(cells[chosen]),
            )


def make(folder: Path, *, pictures: int = PICTURES, seed: int = SEED, console: Console) -> None:
    """Draws, trains and writes the checkpoint: config.yaml, model.safetensors and training.json.

    Progress goes to `console`. Raises OutputError, and before the training, if the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: no folder can be made here ({error.strerror})") from error
    started = time.monotonic()
    torch.manual_seed(seed)
    model = DualEncoder(MODEL.dual)
    rng = np.random.default_rng([seed, 1])
    steps = RECIPE.steps(pictures)
    recipe = replace(RECIPE, precision="bfloat16" if has_bfloat16() else "float32")
    bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console)
    with bar as progress:
        drawn = draw_all(pictures, seed, progress)
        task = progress.add_task("training", total=steps)
        losses = []
        with supervised(model, SUPERVISED, len(CLASSES)) as supervision:
            for step in fit(model, batches(drawn, MODEL, rng), recipe, steps, loss=supervision.loss):
                losses.append(step.loss)
                progress.update(task, advance=1, description=f"training, loss {np.mean(losses[-50:]):.3f}")
    training = Training(
        seed=seed,
        pictures=pictures,
        steps=len(losses),
        batch=BATCH,
        minutes=round((time.monotonic() - started) / 60, 1),
        cores=os.cpu_count() or 1,
        processor=model_name(),
        precision=recipe.precision,
        final_loss=round(float(np.mean(losses[-50:])), 4),
    )
    write(folder, model, training)


def write(folder: Path, model: DualEncoder, training: Training) -> None:
    """The checkpoint as the package carries it: one weight file in float16; the tokenizer is the packaged one.

    Raises OutputError if the folder cannot be written.
    """
    try:
        (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
        (folder / "training.json").write_text(json.dumps(asdict(training), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    write_weights(folder / "model.safetensors", model.state_dict(), dtype=torch.float16)


def measure_held_out(folder: Path) -> ZeroShotReport:
    """Figures of the checkpoint in `folder` over held-out phantoms; writes its card, README.md."""
    training = Training(**json.loads((folder / "training.json").read_text(encoding="utf-8")))
    model = load(folder)
    shown = show(model, draw_many(HELD_OUT, MEASURED, size=256))
    report = measure(model, shown)
    encoder = model.checkpoint.model
    text = card(
        report,
        measure(model, shown, shuffle=np.random.default_rng(0)),
        training=training,
        image_parameters=sum(p.numel() for p in encoder.image_encoder.parameters()),
        text_parameters=sum(p.numel() for p in encoder.lang_encoder.parameters()),
        first_patient=HELD_OUT,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    return report


def main() -> None:
    """The command line of `make demo-checkpoint`."""
    parser = argparse.ArgumentParser(description="Draw, train, write and measure the demonstration checkpoint.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=PICTURES, help="training phantoms to draw")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--measure", action="store_true", help="only measure the checkpoint that is in the folder")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    if not arguments.measure:
        make(arguments.folder, pictures=arguments.pictures, seed=arguments.seed, console=console)
    report = measure_held_out(arguments.folder)
    console.print(
        f"modality top-1 {report.modality_top1:.3f}, mean finding AUC {report.mean_auc:.3f}, "
        f"laterality top-1 {report.laterality_top1:.3f}"
    )


if __name__ == "__main__":
    main()
