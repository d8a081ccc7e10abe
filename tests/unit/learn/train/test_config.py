"""A run's YAML file becomes typed configuration; what cannot be meant is refused with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from dualsight.errors import ConfigError
from dualsight.learn.train.config import FolderSource, Lora, ManifestSource, TrainConfig, TsvSource, read_train_config
from dualsight.learn.train.recipe import Augmentation, Recipe

OFFICIAL = Path(__file__).parents[3] / "data" / "golden" / "official-size" / "config.yaml"
LEAST = "output: tuned\ntrain: {folder: pictures}\n"


def read(tmp_path: Path, text: str) -> TrainConfig:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    return read_train_config(path)


def test_the_least_there_can_be(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    assert config == TrainConfig(output=tmp_path / "tuned", train=FolderSource(folder=tmp_path / "pictures"))
    assert config.recipe == Recipe()
    assert config.model == "demo"


def test_everything(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        model: there/model
        output: /elsewhere
        train: {manifest: pairs.csv, split: train, label_column: finding, text_column: report}
        validation: {images: images.tsv, texts: texts.tsv}
        labels: [a, b]
        templates: ["x-ray {label}"]
        recipe: {epochs: 2, batch: 8, micro_batch: 4, learning_rate: 1e-4, betas: [0.9, 0.98], precision: bfloat16}
        augmentation: {trivial: false, crop_scale: [0.9, 1]}
        lora: {rank: 4, layers: [qkv]}
        freeze: [lang_encoder.*]
        window: lung
        parallel: fsdp
        seed: 3
        """,
    )
    assert config.train == ManifestSource(
        manifest=tmp_path / "pairs.csv", split="train", label_column="finding", text_column="report"
    )
    assert config.validation == TsvSource(images=tmp_path / "images.tsv", texts=tmp_path / "texts.tsv")
    assert config.output == Path("/elsewhere")
    assert (config.labels, config.templates, config.freeze) == (("a", "b"), ("x-ray {label}",), ("lang_encoder.*",))
    assert config.recipe.learning_rate == 1e-4  # YAML takes 1e-4 for a text
    assert (config.recipe.epochs, config.recipe.precision) == (2.0, "bfloat16")
    assert config.augmentation == Augmentation(trivial=False, crop_scale=(0.9, 1.0))
    assert config.lora == Lora(rank=4, layers=("qkv",))
    assert (config.window, config.parallel, config.seed) == ("lung", "fsdp", 3)


def test_no_augmentation(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST + "augmentation: null\n").augmentation is None


def test_an_official_recipe_with_own_changes(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(OFFICIAL.read_bytes())
    config = read(tmp_path, LEAST + "official_recipe: config.yaml\nrecipe: {batch: 48, clip_norm: 0.07}\n")
    assert (config.recipe.batch, config.recipe.clip_norm) == (48, 0.07)
    assert (config.recipe.epochs, config.recipe.ema_decay) == (100, 0.999)
    assert config.augmentation is not None
    assert config.augmentation.crop_ratio == (0.75, 1.3333333)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("- a\n", "not a mapping"),
        ("a: [", "not YAML"),
        ("output: o\n", "train is missing"),
        ("train: {folder: f}\n", "output is missing"),
        (LEAST + "ouput: x\n", "ouput is a key"),
        (LEAST + "recipe: {learning_rat: 1}\n", "recipe.learning_rat is a key"),
        (LEAST + "recipe: {batch: many}\n", "recipe.batch is 'many', not of type int"),
        (LEAST + "recipe: {batch: 0}\n", "recipe.batch is 0"),
        (LEAST + "recipe: {epochs: .inf}\n", "recipe.epochs is inf"),
        (LEAST + "recipe: {betas: [1, 2, 3]}\n", "recipe.betas"),
        (LEAST + "recipe: {optimizer: sgd}\n", "recipe.optimizer is 'sgd'"),
        (LEAST + "recipe: 3\n", "recipe is not a mapping"),
        (LEAST + "augmentation: {crop_scale: [0.8, 2]}\n", "crop_scale"),
        (LEAST + "augmentation: {erasing: 2}\n", "erasing is 2"),
        (LEAST + "lora: {rank: 0}\n", "lora: rank 0"),
        (LEAST + "window: bright\n", "window is 'bright'"),
        (LEAST + "workers: -1\n", "workers is -1"),
        (LEAST + "parallel: fsdp\nrecipe: {optimizer: muon}\n", "muon needs whole matrices"),
        ("output: o\ntrain: {}\n", "train. names no data"),
        ("output: o\ntrain: {images: a}\n", "train.texts is missing"),
        ("output: o\ntrain: {folder: a, split: b}\n", "train.split is a key"),
        (LEAST + "official_recipe: nowhere.yaml\n", "nowhere.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_told_with_file_and_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert named in str(caught.value)
    assert ".yaml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_train_config(tmp_path / "nowhere.yaml")
