"""A weight file → the model that it holds, in torch: its tensors mapped and put in place, none drawn, none copied."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dualsight.checkpoint.config import ModelConfig
from dualsight.checkpoint.keys import fit, rename_all
from dualsight.checkpoint.weights import as_floats, map_tensors
from dualsight.model.config import CoSwinConfig, DualConfig, ImageEncoderConfig
from dualsight.model.coswin import CoSwin
from dualsight.model.davit import DaViT
from dualsight.model.dual import DualEncoder, image_encoder


def load_dual_encoder(weights: Path, config: DualConfig) -> DualEncoder:
    """The whole model, in evaluation mode. Weights stored as float32 are mapped and read when first used.

    Raises CheckpointError (MissingTensor, UnexpectedTensor, ShapeMismatch, CorruptFile).
    """
    with torch.device("meta"), NoRandomWeights():
        model = DualEncoder(config)
    file = str(weights)
    tensors = rename_all(map_tensors(weights), file=file)
    _assign(model, fit(tensors, model.state_dict(), file=file, grid=_grid(config.image)), file)
    return model.eval()


def load_image_encoder(source: Path | Mapping[str, Tensor], config: ImageEncoderConfig) -> DaViT | CoSwin:
    """An image encoder alone, in evaluation mode, from a weight file or tensors in any layout of `keys.RENAMES`.

    Of a dual encoder's file only the image encoder is used. Raises as `load_dual_encoder` does.
    """
    stored, file = (map_tensors(source), str(source)) if isinstance(source, Path) else (source, "tensors")
    named = rename_all(stored, file=file)
    prefix = "image_encoder."
    own = {key.removeprefix(prefix): tensor for key, tensor in named.items() if key.startswith(prefix)}
    with torch.device("meta"), NoRandomWeights():
        encoder = image_encoder(config)
    _assign(encoder, fit(own or named, encoder.state_dict(), file=file, grid=_grid(config)), file)
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


def _assign(model: nn.Module, tensors: Mapping[str, Tensor], file: str) -> None:
    """Puts the tensors themselves in the place of a meta model's parameters."""
    floats = {key: as_floats(key, tensor, torch.float32, file) for key, tensor in tensors.items()}
    model.load_state_dict(floats, strict=True, assign=True)


def _grid(config: ImageEncoderConfig) -> tuple[int, int] | None:
    return config.grids[0] if isinstance(config, CoSwinConfig) else None
