"""Fine-tuning as people run it: whole runs, killed runs, several processes."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from dualsight.learn.train.config import read_train_config
from dualsight.learn.train.run import opened

pytestmark = pytest.mark.e2e

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
WEIGHTS = "checkpoint/vision_model/medimageinsigt-v1.0.0.pt"
RUN = """\
model: {model}
output: {output}
train: {{manifest: pairs.csv, split: train}}
validation: {{manifest: pairs.csv, split: val}}
templates: ["ct {{label}}", "mri {{label}}"]
recipe: {{epochs: 2, batch: 4, micro_batch: {micro}, learning_rate: 1e-3, class_prompts: true}}
device: cpu
workers: 0
save_every: 2
validate_every: 3
{more}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pairs to train on and four to measure on."""
    rows = ["path,label,patient,split"]
    for i in range(16):
        pixels = np.random.default_rng(i).integers(0, 128, (20, 24, 3), np.uint8) + np.uint8(100 * (i % 2))
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{'bright' if i % 2 else 'dark'},P{i},{'val' if i > 11 else 'train'}")
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.fixture
def plan(folder: Path, recipe_folder: Callable[[str], Path]) -> Callable[..., Path]:
    def write(name: str, *, micro: int = 4, more: str = "", model: Path | None = None) -> Path:
        path = folder / f"{name}.yaml"
        path.write_text(RUN.format(model=model or recipe_folder("davit"), output=name, micro=micro, more=more))
        return path

    return write


@pytest.fixture
def sure(tmp_path: Path, recipe_folder: Callable[[str], Path]) -> Path:
    """A model without stochastic depth, which is drawn by each process for itself."""
    model = tmp_path / "sure"
    shutil.copytree(recipe_folder("davit"), model)
    config = next(model.rglob("config.yaml"))
    config.write_text(re.sub(r"DROP_PATH_RATE: .*", "DROP_PATH_RATE: 0.0", config.read_text()))
    return model


def train_here(path: Path, *, resume: bool = False) -> dict[str, torch.Tensor]:
    """The whole run in this process, and the weights that it leaves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with opened(read_train_config(path), resume=resume) as run:
            for _ in run.go():
                pass
    finally:
        torch.set_num_threads(before)
    return load_file(path.with_suffix("") / WEIGHTS)


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dualsight", "train", *map(str, arguments)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )


def column(path: Path, name: str) -> list[float]:
    """What a run wrote of each step."""
    lines = (path.with_suffix("") / "metrics.jsonl").read_text().splitlines()
    return [line[name] for line in map(json.loads, lines) if "loss" in line]


def wait_for_steps(path: Path, process: subprocess.Popen[str], wanted: int) -> None:
    """Until the run has written so many steps, or has ended."""
    journal = path.with_suffix("") / "metrics.jsonl"
    while not (journal.exists() and len(column(path, "step")) >= wanted):
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        return


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_killed_run_goes_on_to_the_same_bits(plan: Callable[..., Path]) -> None:
    never, killed = plan("never", micro=2), plan("killed", micro=2)
    expected = train_here(never)
    process = start(killed)
    wait_for_steps(killed, process, random.randint(1, 5))
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (killed.with_suffix("") / "checkpoint").exists()
    assert same(train_here(killed, resume=True), expected)
    assert column(killed, "step") == [1, 2, 3, 4, 5, 6]
    left = (killed.with_suffix("") / "metrics.jsonl").read_text()
    assert [json.loads(line)["step"] for line in left.splitlines() if "validation" in line] == [0, 3, 6]


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_two_processes_train_like_one(plan: Callable[..., Path], sure: Path, how: str) -> None:
    """The same losses and gradients as one process on the joint batch, gathered features carrying gradient."""
    alone, shared = plan("alone", model=sure), plan("shared", model=sure, micro=1, more=f"parallel: {how}")
    for path in (alone, shared):  # small steps: AdamW's first ones are as long for gradients that are all rounding
        path.write_text(path.read_text().replace("learning_rate: 1e-3", "learning_rate: 1e-5"))
    expected = train_here(alone)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "dualsight"]
    done = subprocess.run(
        [*command, "train", str(shared)], env=ENVIRONMENT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert load_file(shared.with_suffix("") / WEIGHTS).keys() == expected.keys()
    for name in ("loss", "gradient_norm"):
        assert column(shared, name) == pytest.approx(column(alone, name), rel=1e-3), name
    first = [(path.with_suffix("") / "metrics.jsonl").read_text().splitlines()[0] for path in (alone, shared)]
    assert first[0] == first[1]  # the figures before the first step


def test_ctrl_c_keeps_the_last_step_and_says_how_to_go_on(plan: Callable[..., Path]) -> None:
    path = plan("stopped", more="augmentation: null")
    path.write_text(
        path.read_text().replace("epochs: 2", "epochs: 2000").replace("save_every: 2", "save_every: 1000000")
    )
    process = start(path)
    wait_for_steps(path, process, 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: its workers too
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert f"to go on: dualsight train {path} --resume" in said
    (state,) = (path.with_suffix("") / "state").iterdir()
    assert json.loads((state / "state.json").read_text())["step"] == column(path, "step")[-1]
