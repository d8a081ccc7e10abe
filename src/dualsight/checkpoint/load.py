"""A checkpoint on disk → a model in memory, its weights mapped and not copied."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dualsight.checkpoint.config import ModelConfig, parse_config
from dualsight.checkpoint.hub import resolve
from dualsight.checkpoint.keys import fit, rename_all
from dualsight.checkpoint.layout import DEMO_MARK, INT8_GRAPH, locate
from dualsight.checkpoint.weights import as_floats, map_tensors
from dualsight.errors import CheckpointError, ConfigError
from dualsight.model.config import CoSwinConfig, ImageEncoderConfig
from dualsight.model.coswin import CoSwin
from dualsight.model.davit import DaViT
from dualsight.model.dual import DualEncoder, image_encoder
from dualsight.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A model with all that belongs to it. The model is in evaluation mode; its parameters can be trained."""

    model: DualEncoder
    config: ModelConfig
    config_text: str  # config.yaml as it was read
    tokenizer: Tokenizer
    name: str  # the folder's, file's or hub id, or "demo"
    path: Path | None = None  # the folder; None: made in memory
    tokenizer_folder: Path | None = None  # None: the packaged tokenizer
    is_demo: bool = False

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over weights, configuration and preprocessing: equal embeddings only from equal fingerprints.

        Computed once, when first asked for (about 2 s for the official weights), of the weights as they are then.
        Independent of where and how the checkpoint is stored.
        """
        return fingerprint(self.model, self.config)

    @property
    def int8_graph(self) -> Path | None:
        """The image tower in int8 that `dualsight quantize` has put into this folder; None for any other checkpoint."""
        graph = None if self.path is None else self.path / INT8_GRAPH
        return graph if graph is not None and graph.is_file() else None

    @cached_property
    def int8_fingerprint(self) -> str:
        """The fingerprint of what a quantised checkpoint computes: of its int8 graph, and of its float weights, which
        compute the texts. Computed once. Raises CheckpointError for a checkpoint that is not quantised.
        """
        if self.int8_graph is None:
            raise CheckpointError(f"{self.name}: not quantised", hint="`dualsight quantize` makes a checkpoint that is")
        digest = hashlib.sha256(self.fingerprint.encode())
        for file in (self.int8_graph, self.int8_graph.with_suffix(".bin")):
            digest.update(file.read_bytes())
        return digest.hexdigest()


def load_checkpoint(
    where: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> Checkpoint:
    """The checkpoint at a path, of a hub id ("owner/name", "owner/name@revision"), or the packaged "demo".

    Weights stored in `dtype` are mapped from the file and read when first used; others are converted.
    Only a hub id touches the network. Raises CheckpointError (MissingTensor, UnexpectedTensor, ShapeMismatch,
    CorruptFile, DownloadError) or ConfigError, each naming the file.
    """
    path, name = resolve(where)
    layout = locate(path)
    config_text = _read_text(layout.config)
    config = parse_config(config_text, file=str(layout.config))
    tokenizer = Tokenizer.packaged() if layout.tokenizer is None else Tokenizer.from_folder(layout.tokenizer)
    if tokenizer.vocabulary_size > config.dual.text.vocabulary:
        raise CheckpointError(
            f"{layout.tokenizer}: {tokenizer.vocabulary_size:,} tokens, and the model has room for "
            f"{config.dual.text.vocabulary:,}"
        )
    with torch.device("meta"), NoRandomWeights():
        model = DualEncoder(config.dual)
    file = str(layout.weights)
    tensors = rename_all(map_tensors(layout.weights), file=file)
    _assign(model, fit(tensors, model.state_dict(), file=file, grid=_grid(config.dual.image)), dtype, file)
    return Checkpoint(
        model=model.to(device).eval(),
        config=config,
        config_text=config_text,
        tokenizer=tokenizer,
        name=name,
        path=layout.folder,
        tokenizer_folder=layout.tokenizer,
        is_demo=config_text.startswith(DEMO_MARK),
    )


def load_config(where: str | Path) -> ModelConfig:
    """The configuration alone of what `load_checkpoint` would load. Raises CheckpointError or ConfigError."""
    path, _ = resolve(where)
    config = locate(path).config
    return parse_config(_read_text(config), file=str(config))


def load_image_encoder(
    source: Path | Mapping[str, Tensor], config: ImageEncoderConfig, *, dtype: torch.dtype = torch.float32
) -> DaViT | CoSwin:
    """An image encoder alone, in evaluation mode, from a weight file or tensors in any layout of `keys.RENAMES`.

    Of a dual encoder's file only the image encoder is used. Raises as `load_checkpoint` does.
    """
    stored, file = (map_tensors(source), str(source)) if isinstance(source, Path) else (source, "tensors")
    named = rename_all(stored, file=file)
    prefix = "image_encoder."
    own = {key.removeprefix(prefix): tensor for key, tensor in named.items() if key.startswith(prefix)}
    with torch.device("meta"), NoRandomWeights():
        encoder = image_encoder(config)
    _assign(encoder, fit(own or named, encoder.state_dict(), file=file, grid=_grid(config)), dtype, file)
    return encoder.eval()


def fingerprint(model: nn.Module, config: ModelConfig) -> str:
    """Hexadecimal SHA-256 of a configuration and of every tensor's key, type, shape and bytes, by key."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(config), sort_keys=True).encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {list(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()


class NoRandomWeights(TorchFunctionMode):
    """Draws nothing where a model is only a shape: on the meta device a draw costs torch seconds of imports."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, Tensor.uniform_) or getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def _assign(model: nn.Module, tensors: Mapping[str, Tensor], dtype: torch.dtype, file: str) -> None:
    """Puts the tensors themselves in the place of a meta model's parameters."""
    floats = {key: as_floats(key, tensor, dtype, file) for key, tensor in tensors.items()}
    model.load_state_dict(floats, strict=True, assign=True)


def _grid(config: ImageEncoderConfig) -> tuple[int, int] | None:
    return config.grids[0] if isinstance(config, CoSwinConfig) else None


def _read_text(path: Path) -> str:
    """The file's text with its own line ends, so that it can be written back unchanged."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error.__class__.__name__})") from error
