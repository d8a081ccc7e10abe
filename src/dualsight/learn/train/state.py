"""A run's state on disk: all that a run needs to go on as if it had never been stopped.

    state/step-00000120/
      tensors.safetensors     weight.NAME · average.NAME · optimizer.NUMBER.NAME.KEY
      state.json              the step, and what the run is

Order of pairs, variation and dropout follow from seed and step, so no generator's state is kept; nor are frozen
weights, which the model that was started from has. A state appears whole or not at all; the last two are kept.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from dualsight.checkpoint.weights import map_tensors
from dualsight.errors import CorruptFile, OutputError, TrainingError
from dualsight.learn.train.distributed import Processes, put, whole
from dualsight.learn.train.loop import Trainer

KEPT = 2
TENSORS, FACTS = "tensors.safetensors", "state.json"
_REMOVE = "remove this state: the run then goes on from the one before it"


def save_state(folder: Path, trainer: Trainer, run: Mapping[str, Any], processes: Processes) -> None:
    """Writes the state after the steps done so far; every process must call. Raises OutputError."""
    tensors = _tensors(trainer)
    if not processes.is_first:
        return
    final = folder / f"step-{trainer.done:08}"
    part = folder / f".{final.name}.part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_file(tensors, part / TENSORS)
        (part / FACTS).write_text(json.dumps({"step": trainer.done, "run": run}, indent=1) + "\n", encoding="utf-8")
        for path in (part / TENSORS, part / FACTS, part):
            _to_disk(path)
        if final.exists():
            shutil.rmtree(final)
        part.replace(final)
        for old in _states(folder)[:-KEPT]:
            shutil.rmtree(old)
    except (OSError, SafetensorError) as error:  # the library says a full disk in its own words
        problem = getattr(error, "strerror", None) or error
        raise OutputError(f"{folder}: the state cannot be written ({problem})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_state(folder: Path, trainer: Trainer, run: Mapping[str, Any]) -> None:
    """Puts the last state into the trainer; without one, nothing changes.

    Raises TrainingError where that state is of another run, and CorruptFile where it is damaged.
    """
    states = _states(folder)
    if not states:
        return
    step, then = _facts(states[-1] / FACTS)
    _check_same(then, run, states[-1])
    tensors = map_tensors(states[-1] / TENSORS)
    needed = (f"{kind}.{name}" for kind in ("weight", "average") for name in trainer.parameters)
    missing = next((key for key in needed if key not in tensors), None)
    if missing:
        raise CorruptFile(f"{states[-1] / TENSORS}: has no {missing}", hint=_REMOVE)
    for name, parameter in trainer.parameters.items():
        put(parameter, tensors.pop(f"weight.{name}"))
        put(trainer.average[name], tensors.pop(f"average.{name}"))
    for key, tensor in tensors.items():
        _, number, name_and_key = key.split(".", 2)
        name, _, key = name_and_key.rpartition(".")
        parameter = trainer.parameters[name]
        trainer.optimizers[int(number)].state[parameter][key] = _like(parameter, tensor)
    trainer.done = step


def _facts(file: Path) -> tuple[int, dict[str, Any]]:
    """The step, and what the run is. Raises CorruptFile for anything but what `save_state` writes."""
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        return int(facts["step"]), dict(facts["run"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptFile(f"{file}: damaged ({type(error).__name__})", hint=_REMOVE) from error


def has_state(folder: Path) -> bool:
    """Whether there is a state to go on from."""
    return bool(_states(folder))


def _states(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("step-*"))


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    """All tensors of the state, whole and on the CPU."""
    named: dict[str, Tensor] = {}
    for name, parameter in trainer.parameters.items():
        named[f"weight.{name}"] = parameter.detach()
        named[f"average.{name}"] = trainer.average[name]
        for number, optimizer in enumerate(trainer.optimizers):
            for key, value in optimizer.state.get(parameter, {}).items():
                named[f"optimizer.{number}.{name}.{key}"] = value
    return {key: whole(tensor).cpu().contiguous() for key, tensor in named.items()}


def _like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A value of an optimiser, where and as its parameter lies."""
    tensor = tensor.to(parameter.device, copy=True)
    if isinstance(parameter, DTensor) and tensor.shape == parameter.shape:
        return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
    return tensor


def _check_same(then: Mapping[str, Any], now: Mapping[str, Any], state: Path) -> None:
    changed = [key for key in sorted({*then, *now}) if then.get(key) != now.get(key)]
    if changed:
        raise TrainingError(
            f"{state}: is of another run: {', '.join(changed)} changed since",
            hint="take back the change, or begin anew with another `output`",
        )


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
