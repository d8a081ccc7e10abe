"""What the reference returned, and checkpoints filled by recipe: `tests/data/golden` as objects."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

HERE = Path(__file__).parent / "data" / "golden"
SEED = 20240927
TOKENIZER = Path(__file__).parents[1] / "src" / "dualsight" / "text" / "clip_tokenizer"
WEIGHTS = "vision_model/medimageinsigt-v1.0.0.pt"
SMALL = (
    "davit",
    "davit-wide",
    "davit-autoregressive",
    "davit-static-scale",
    "davit-mup",
    "coswin",
    "coswin-ape-layerscale",
)


def _recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_recipe", HERE / "recipe.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recipe = _recipe()


@dataclass(frozen=True)
class Golden:
    """One folder of the golden data."""

    name: str

    @property
    def config(self) -> Path:
        return HERE / self.name / "config.yaml"

    @property
    def keys(self) -> dict[str, tuple[int, ...]]:
        """Checkpoint key → shape, in the file's order."""
        return {key: tuple(shape) for key, shape in json.loads((HERE / self.name / "keys.json").read_text()).items()}

    @property
    def inputs(self) -> dict[str, Any]:
        return json.loads((HERE / self.name / "inputs.json").read_text())

    @property
    def expected(self) -> dict[str, NDArray[Any]]:
        with np.load(HERE / self.name / "expected.npz") as arrays:
            return dict(arrays)

    @property
    def tokens(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """input_ids and attention_mask, each [n, 77]."""
        return np.array(self.inputs["input_ids"]), np.array(self.inputs["attention_mask"])

    def images(self) -> list[NDArray[np.uint8]]:
        """The pictures as RGB, uint8 [H, W, 3]."""
        pictures = []
        for name, height, width, channels in self.inputs["images"]:
            picture = recipe.image(name, height, width, channels, self.inputs["seed"])
            pictures.append(np.stack([picture] * 3, -1) if picture.ndim == 2 else picture)
        return pictures

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The checkpoint's tensors, by recipe."""
        seed = self.inputs["seed"]
        return {key: np.asarray(recipe.weight(key, shape, seed)) for key, shape in self.keys.items()}


def write_official_folder(golden: Golden, parent: Path, weights: dict[str, NDArray[Any]] | None = None) -> Path:
    """An official checkpoint folder `2024.09.27` under `parent`: its path."""
    folder = parent / "2024.09.27"
    (folder / "vision_model").mkdir(parents=True)
    language = folder / "language_model" / "clip_tokenizer_4.16.2"
    language.mkdir(parents=True)
    shutil.copy(golden.config, folder / "config.yaml")
    save_file(golden.weights() if weights is None else weights, folder / WEIGHTS)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(TOKENIZER / name, language / name)
    return folder


def timm_weights(name: str) -> dict[str, NDArray[np.float32]]:
    """A timm model's tensors by recipe: `davit_tiny` or `small_fl`. Its picture is recipe.image("a", …, SEED)."""
    keys = json.loads((HERE / "timm-davit" / "models.json").read_text())[name]["keys"]
    return {key: np.asarray(recipe.weight(key, tuple(shape), SEED)) for key, shape in keys.items()}
