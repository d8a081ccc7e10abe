"""A model in memory → a checkpoint on disk, in the official layout.

Byte-stable: the weight file depends on nothing but keys and values. Tensors lie sorted by key and the header
has no metadata, as in the official file, so load → save → load → save gives the same bytes each time, and so
does load → save of any file that was written in this way with the model's own keys.
All or nothing: a folder appears whole under its name, or not at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from dualsight.checkpoint.config import parse_config
from dualsight.checkpoint.layout import CONFIG, TOKENIZER, TOKENIZER_FILES, WEIGHTS
from dualsight.errors import ConfigError, OutputError
from dualsight.model.dual import DualEncoder


def save_checkpoint(
    folder: Path,
    model: DualEncoder,
    config_text: str,
    *,
    tokenizer_folder: Path | None = None,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Writes config.yaml, weights (as `dtype`) and tokenizer files; returns `folder`, which must be new or empty.

    `tokenizer_folder` None: the packaged files. Raises OutputError if the folder is in use or cannot be written,
    ConfigError if `config_text` describes another model.
    """
    if parse_config(config_text).dual != model.config:
        raise ConfigError("config.yaml describes another model than the one to be saved")
    with whole_folder(folder) as new:
        (new / CONFIG).write_bytes(config_text.encode())
        (new / WEIGHTS).parent.mkdir()
        write_weights(new / WEIGHTS, model.state_dict(), dtype=dtype)
        tokenizer = new / TOKENIZER
        tokenizer.mkdir(parents=True)
        for name in TOKENIZER_FILES:
            (tokenizer / name).write_bytes(tokenizer_file(tokenizer_folder, name))
    return folder


def write_weights(path: Path, tensors: Mapping[str, Tensor], *, dtype: torch.dtype = torch.float32) -> None:
    """One weight file, as safetensors whatever its suffix; an older file of the name is replaced at the end.

    Raises OutputError if it cannot be written; then nothing has changed.
    """
    stored = {key: tensor.detach().to("cpu", dtype).contiguous() for key, tensor in sorted(tensors.items())}
    part = path.with_name(f".{path.name}.part")
    try:
        save_file(stored, part)
        part.chmod(0o644)  # the library lets nobody else read
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, SafetensorError) as error:
        size = sum(tensor.nbytes for tensor in stored.values())
        raise OutputError(f"{path}: cannot be written ({error})", hint=f"it needs {size:,} bytes of disk") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Generator[Path, None, None]:
    """A new folder beside `folder`, which takes its name at the end, or is removed with all it holds."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(f"{folder}: exists already", hint="choose another folder, or remove this one first")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error
    try:
        yield new
        new.chmod(0o755)  # mkdtemp lets nobody else in
        new.replace(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def tokenizer_file(folder: Path | None, name: str) -> bytes:
    """One of a checkpoint's tokenizer files; of the packaged ones where it has no `folder` of its own."""
    if folder is not None:
        return (folder / name).read_bytes()
    return (resources.files("dualsight.text") / "clip_tokenizer" / name).read_bytes()
