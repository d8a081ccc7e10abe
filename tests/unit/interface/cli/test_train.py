from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dualsight
from dualsight.checkpoint.verify import verify

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def plan(tmp_path: Path, weights: Path) -> Path:
    for i in range(6):
        path = tmp_path / "pictures" / ("bright" if i % 2 else "dark") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 128, (20, 24, 3), np.uint8) + np.uint8(100 * (i % 2))
        Image.fromarray(pixels).save(path)
    path = tmp_path / "plan.yaml"
    path.write_text(
        f"model: {weights}\noutput: tuned\ntrain: {{folder: pictures}}\nworkers: 0\ndevice: cpu\n"
        "recipe: {epochs: 1, batch: 3, activation_checkpointing: true}\nlora: {rank: 2}\nseed: 4\n"
    )
    return path


def test_a_dry_run_says_what_there_is_and_writes_nothing(run, plan: Path) -> None:
    result = run("train", plan, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("6 pairs to train on, 0 to measure on; every picture opens\n")
    assert "        3  bright\n" in result.stdout
    assert "parameters are trained\none step: loss " in result.stdout
    assert "GiB of memory at most\n2 steps would take about" in result.stdout
    assert sorted(path.name for path in plan.parent.iterdir() if path.name in ("tuned", "plan.yaml")) == ["plan.yaml"]


def test_a_dry_run_tells_all_that_is_wrong(run, plan: Path) -> None:
    (plan.parent / "pictures" / "bright" / "1.png").write_text("no picture")
    (plan.parent / "pictures" / "bright" / "3.png").write_bytes(b"")
    (plan.parent / "pictures" / "empty").mkdir()
    result = run("train", plan, "--dry-run")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: 3 problems with the training data:\n  ")
    for part in ("empty: no picture of this label", "1.png: ", "3.png: ", "hint: nothing was trained"):
        assert part in result.stderr


def test_the_result_is_a_checkpoint_with_its_card(run, plan: Path, weights: Path) -> None:
    result = run("train", plan)
    assert result.exit_code == 0, result.stderr
    folder = plan.parent / "tuned"
    assert str(folder / "checkpoint") in result.stderr
    model, before = dualsight.load(folder), dualsight.load(weights)
    assert model.fingerprint != before.fingerprint
    assert model.config == before.config
    assert verify(folder / "checkpoint").passed
    card = (folder / "checkpoint" / "README.md").read_text()
    for part in ("no output of this model is a diagnosis", "6 pairs of the folder `pictures`", "seed 4", "of rank 2",
                 "| batch | 3 |", before.fingerprint[:16]):  # fmt: skip
        assert part in card
    assert "| 2 | " in (folder / "report.md").read_text()
    again = run("train", plan)
    assert again.exit_code == 1
    assert "has been trained to its end" in again.stderr


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("nonsense: 1\n", 1, "nonsense is a key that dualsight does not know"),
        ("output: tuned\ntrain: {folder: nowhere}\n", 1, "nowhere: no such folder"),
        ("output: tuned\ntrain: {folder: pictures}\nmodel: nowhere/at/all\n", 1, "nowhere"),
    ],
)
def test_mistakes_are_told_in_words(run, plan: Path, text: str, code: int, said: str) -> None:
    plan.write_text(text)
    result = run("train", plan)
    assert result.exit_code == code
    assert said in result.stderr
    assert not (plan.parent / "tuned").exists()


def test_a_dry_run_does_not_resume(run, plan: Path) -> None:
    assert run("train", plan, "--dry-run", "--resume").exit_code == 2
