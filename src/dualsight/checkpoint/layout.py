"""What lies where in a checkpoint on disk.

2024.09.27/                                     the official folder, or the folder above it
  config.yaml
  vision_model/<one weight file>                safetensors, whatever its suffix
  language_model/clip_tokenizer_4.16.2/{vocab.json, merges.txt}

anything/{config.yaml, model.safetensors}       a plain folder; vocab.json and merges.txt may lie beside
anything/model.safetensors                      a weight file with its config.yaml beside it

<any of these folders>/int8/                    its image tower in int8, with a report (`dualsight quantize`)
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from dualsight.errors import CheckpointError

CONFIG = "config.yaml"
WEIGHTS_FOLDER = "vision_model"
WEIGHTS = "vision_model/medimageinsigt-v1.0.0.pt"  # the misspelling is official
LANGUAGE_FOLDER = "language_model"
TOKENIZER = "language_model/clip_tokenizer_4.16.2"
TOKENIZER_FILES = ("vocab.json", "merges.txt")
INT8_GRAPH = "int8/image.xml"
INT8_REPORT = "int8/report.json"  # with the fingerprint of the float weights that the graph was made from
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")

logger = logging.getLogger(__name__)

DEMO_MARK = "# dualsight's demonstration model"  # how its config.yaml begins, wherever it was copied to


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one checkpoint."""

    folder: Path
    config: Path
    weights: Path
    tokenizer: Path | None  # the folder of vocab.json and merges.txt; None: the packaged ones


def demo_folder() -> Path:
    """Where the packaged demonstration checkpoint lies."""
    return Path(str(resources.files("dualsight.checkpoint") / "demo"))


def locate(path: Path) -> Layout:
    """The files of the checkpoint at `path`: a folder in one of the layouts above, or a weight file.

    Raises CheckpointError if there is none, or more than one, naming what was looked for.
    """
    path = path.expanduser()
    if path.is_file():
        return _layout(path.parent, path)
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such file or folder", hint="a checkpoint folder holds config.yaml")
    folder = _folder(path)
    return _layout(folder, _weights(folder))


def is_sole(folder: Path, weights: Path) -> bool:
    """Whether this is the weight file that `locate(folder)` would find: no other is there to be meant."""
    try:
        return _weights(folder) == weights
    except CheckpointError:
        return False


def _folder(path: Path) -> Path:
    """The folder with config.yaml: `path` itself, or the only one just below it."""
    if (path / CONFIG).is_file():
        return path
    below = sorted(config.parent for config in path.glob(f"*/{CONFIG}"))
    if len(below) == 1:
        return below[0]
    if not below:
        raise CheckpointError(f"{path}: no {CONFIG} here or in a folder below", hint=_expected())
    raise CheckpointError(
        f"{path}: {len(below)} checkpoints below: {_names(below)}", hint="give the path of the one you mean"
    )


def _weights(folder: Path) -> Path:
    """The only weight file, in vision_model/ or beside config.yaml."""
    home = folder / WEIGHTS_FOLDER
    suffixes: tuple[str, ...] = SUFFIXES
    if not home.is_dir():
        home, suffixes = folder, SUFFIXES[:1]  # there anything may lie, such as a trainer's own .bin and .pt
    found = sorted(file for file in home.iterdir() if file.suffix in suffixes and file.is_file())
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointError(f"{home}: no weight file ({', '.join(suffixes)})", hint=_expected())
    raise CheckpointError(
        f"{home}: {len(found)} weight files: {_names(found)}", hint="give the path of the one you mean"
    )


def _layout(folder: Path, weights: Path) -> Layout:
    for parent in (folder, folder.parent):  # a file named in vision_model/ has its config one folder up
        config = parent / CONFIG
        if config.is_file() and (parent == folder or folder.name == WEIGHTS_FOLDER):
            return Layout(parent, config, weights, _tokenizer(parent))
    raise CheckpointError(f"{weights}: no {CONFIG} beside it", hint=_expected())


def _tokenizer(folder: Path) -> Path | None:
    """The only folder with vocab.json and merges.txt."""
    homes = [folder, *sorted((folder / LANGUAGE_FOLDER).glob("*/"))]
    found = [home for home in homes if all((home / name).is_file() for name in TOKENIZER_FILES)]
    if len(found) > 1:
        raise CheckpointError(f"{folder}: {len(found)} tokenizers: {_names(found)}", hint=f"keep {TOKENIZER}/ only")
    if found:
        return found[0]
    logger.info("%s: no tokenizer of its own; the packaged one (CLIP, 49,408 tokens) is used", folder)
    return None


def _names(paths: Sequence[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:4])
    return f"{shown}, …" if len(paths) > 4 else shown


def _expected() -> str:
    return f"an official folder holds {CONFIG}, {WEIGHTS} and {TOKENIZER}/"
