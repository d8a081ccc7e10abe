"""What a run leaves: a checkpoint of the official layout with its card, and a report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dualsight.checkpoint.load import load_checkpoint
from dualsight.checkpoint.save import save_checkpoint
from dualsight.errors import OutputError
from dualsight.learn.train.config import CHECKPOINT, REPORT, TrainConfig
from dualsight.learn.train.distributed import Processes, whole
from dualsight.learn.train.pairs import TrainingData
from dualsight.learn.train.report import card, report
from dualsight.learn.train.trainable import choose, merge


def write_result(
    config: TrainConfig, data: TrainingData, processes: Processes, tensors: Mapping[str, Tensor], *, steps: int
) -> None:
    """Writes OUTPUT/checkpoint and OUTPUT/report.md; every process must call, the first one writes.

    tensors: the trained parameters' final values, by name; all others are those of the model begun with.
    """
    final = {name: whole(tensor).cpu() for name, tensor in tensors.items()}
    if not processes.is_first:
        return
    base = load_checkpoint(config.model)
    fingerprint = base.fingerprint
    choose(base.model, freeze=config.freeze, lora=config.lora)
    parameters = dict(base.model.named_parameters())
    with torch.no_grad():
        for name, tensor in final.items():
            parameters[name].copy_(tensor)
    merge(base.model)
    trained = sum(tensor.numel() for tensor in final.values())
    text = card(config, data, base=base.name, fingerprint=fingerprint, steps=steps, trained=trained)
    folder = config.output / CHECKPOINT
    save_checkpoint(folder, base.model, base.config_text, tokenizer_folder=base.tokenizer_folder)
    _write(folder / "README.md", text)
    _write(config.output / REPORT, report(config, text))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
