"""The official configuration becomes the official recipe; what no recipe can say is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dualsight.errors import ConfigError
from dualsight.learn.train.official import read_official
from dualsight.learn.train.recipe import Augmentation, Recipe

OFFICIAL = Path(__file__).parents[3] / "data" / "golden" / "official-size" / "config.yaml"


def test_the_official_recipe() -> None:
    recipe, augmentation = read_official(OFFICIAL)
    assert recipe == Recipe(
        epochs=100.0,
        batch=1024,
        micro_batch=16,
        learning_rate=1e-5,
        final_learning_rate=1e-9,
        warmup_steps=5,
        weight_decay=0.2,
        clip_norm=1.0,
        ema_decay=0.999,
        precision="bfloat16",
    )
    assert augmentation == Augmentation(crop_scale=(0.8, 1.0), crop_ratio=(0.75, 1.3333333), trivial=True, erasing=0.25)


def changed(tmp_path: Path, change: Callable[[dict], object]) -> Path:
    document = yaml.safe_load(OFFICIAL.read_text())
    change(document)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.update(LEARNING_RATTE=1), "LEARNING_RATTE is a key that dualsight does not know"),
        (lambda c: c["TRAIN"].update(SHUFLE=True), "TRAIN.SHUFLE"),
        (lambda c: c["AUG"]["TORCHVISION_AUG"].update(GREY=1), "AUG.TORCHVISION_AUG.GREY"),
        (lambda c: c["AUG"]["TORCHVISION_AUG"].update(HFLIP=0.5), "HFLIP is 0.5"),
        (lambda c: c["AUG"].update(MIXUP_PROB=1.0), "MIXUP_PROB"),
        (lambda c: c["AUG"].update(RATIO=[1.0]), "[1.0] is not a range"),
        (lambda c: c["LOSS"].update(LOSS="CE"), "LOSS.LOSS is 'CE'"),
        (lambda c: c.update(OPTIMIZER="SGD"), "OPTIMIZER is 'SGD'"),
        (lambda c: c["LR_SCHEDULER_PARAMS"].update(sched="step"), "sched is 'step'"),
        (lambda c: c["LR_SCHEDULER_PARAMS"].update(warmup_lr=1e-6), "warmup_lr differs"),
        (lambda c: c["CUSTOMIZED_PARAMS_CONF"]["WEIGHT_DECAY_PATTERNS"].update(fc1=0.0), "weight decay"),
        (lambda c: c["TRAIN"].pop("BATCH_SIZE_TOTAL"), "BATCH_SIZE_TOTAL is missing"),
        (lambda c: c.update(START_LEARNING_RATE=-1.0), "learning_rate is -1"),
    ],
)
def test_what_cannot_be_followed_is_refused(tmp_path: Path, change: Callable[[dict], object], named: str) -> None:
    with pytest.raises(ConfigError, match=named.replace("[", r"\[")):
        read_official(changed(tmp_path, change))
