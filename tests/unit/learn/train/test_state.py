"""A state taken up again is the same run, to the bit; one of another run is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dualsight.errors import CorruptFile, OutputError, TrainingError
from dualsight.learn.train import state
from dualsight.learn.train.distributed import Processes
from dualsight.learn.train.loop import Batch, Trainer
from dualsight.learn.train.recipe import Recipe
from dualsight.learn.train.state import has_state, load_state, save_state
from dualsight.model.dual import DualEncoder
from tiny_models import TINY

DEEP = replace(TINY, image=replace(TINY.image, depths=(2,), drop_path_rate=0.5))
ALONE = Processes(rank=0, count=1, device=torch.device("cpu"))
RUN = {"seed": "1"}


def batches(start: int) -> Iterator[Batch]:
    for step in range(start, 8):
        generator = torch.Generator().manual_seed(step)
        ids = torch.tensor([[1, i + 2, 15] for i in range(6)])
        pixels = torch.randn(6, 3, 16, 16, generator=generator)
        yield Batch(pixels, ids, torch.ones_like(ids), torch.arange(6), torch.arange(6))


def begin(recipe: Recipe) -> Trainer:
    torch.manual_seed(0)
    return Trainer(DualEncoder(DEEP), recipe, 8, seed=3)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("at", [1, 3, 7])
def test_going_on_gives_the_same_bits(tmp_path: Path, optimizer: str, at: int) -> None:
    recipe = Recipe(optimizer=optimizer, learning_rate=1e-2, micro_batch=4)
    never = begin(recipe)
    for batch in batches(0):
        never.step(batch)
        if never.done == at:
            save_state(tmp_path, never, RUN, ALONE)
    again = begin(recipe)
    load_state(tmp_path, again, RUN)
    assert again.done == at
    for batch in batches(at):
        again.step(batch)
    assert again.done == never.done
    for name, parameter in never.parameters.items():
        assert torch.equal(parameter, again.parameters[name]), name
        assert torch.equal(never.average[name], again.average[name]), name


def test_the_last_two_are_kept_and_the_last_one_is_taken(tmp_path: Path) -> None:
    trainer = begin(Recipe())
    assert not has_state(tmp_path)
    for batch in batches(0):
        trainer.step(batch)
        save_state(tmp_path, trainer, RUN, ALONE)
    (tmp_path / ".step-00000009.part").mkdir()  # one that was being written when the run was killed
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-00000007", "step-00000008"]
    again = begin(Recipe())
    load_state(tmp_path, again, RUN)
    assert again.done == 8


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    trainer = begin(Recipe())
    trainer.step(next(batches(0)))
    save_state(tmp_path, trainer, {"seed": "1", "recipe": "a", "data": "x"}, ALONE)
    with pytest.raises(TrainingError, match="of another run: data, seed changed since"):
        load_state(tmp_path, begin(Recipe()), {"seed": "2", "recipe": "a", "data": "y"})


def saved(folder: Path) -> Path:
    trainer = begin(Recipe())
    trainer.step(next(batches(0)))
    save_state(folder, trainer, RUN, ALONE)
    return folder / "step-00000001"


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(OutputError, match=r"cannot be written .*No space left"):
        saved(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ['{"step": 1, "ru', "{}", "[]", '{"step": null, "run": {}}'])
def test_facts_that_were_cut_off_are_told(tmp_path: Path, content: str) -> None:
    (saved(tmp_path) / "state.json").write_text(content)
    with pytest.raises(CorruptFile, match=r"state\.json: damaged"):
        load_state(tmp_path, begin(Recipe()), RUN)


def test_a_tensor_that_is_missing_is_told_before_anything_is_taken(tmp_path: Path) -> None:
    file = saved(tmp_path) / "tensors.safetensors"
    tensors = load_file(file)
    del tensors["average.logit_scale"]
    save_file(tensors, file)
    trainer = begin(Recipe())
    before = {name: p.detach().clone() for name, p in trainer.parameters.items()}
    with pytest.raises(CorruptFile, match=r"has no average\.logit_scale"):
        load_state(tmp_path, trainer, RUN)
    assert all(torch.equal(p, before[name]) for name, p in trainer.parameters.items())
