"""Every difference between a file's tensors and the model's, as tables of named repairs.

    file keys ──rename_all──▶ model keys ──fit──▶ model shapes: a state dict, or an error that names file and keys

The model's own names are those of the official checkpoint; a key that no repair fits stays as it is.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dualsight.errors import CheckpointError, MissingTensor, ShapeMismatch, UnexpectedTensor

Grid = tuple[int, int]
Shape = tuple[int, ...]

logger = logging.getLogger(__name__)


def _channel_first_to_query(qkv: Tensor) -> Tensor:
    """timm's first channel attention is softmax((k·s)ᵀ v) qᵀ: its k, v, q are our q, k, v. Rows [3·C, …]."""
    return qkv.roll(-(qkv.shape[0] // 3), 0)


@dataclass(frozen=True, slots=True)
class Rename:
    """One repair of keys, and of the tensor where the layout stores it otherwise."""

    name: str
    pattern: re.Pattern[str]
    replacement: str
    change: Callable[[Tensor], Tensor] | None = None


def _rename(name: str, pattern: str, replacement: str, change: Callable[[Tensor], Tensor] | None = None) -> Rename:
    return Rename(name, re.compile(rf"(?<![a-z_])(?:{pattern})"), replacement, change)


RENAMES: tuple[Rename, ...] = (
    # MedImageInsight's own earlier names
    _rename("visual tower", r"^visual\.", "image_encoder."),
    _rename("text tower", r"^text\.", "lang_encoder."),
    _rename("vision projection", r"^vision_projection$", "image_projection"),
    _rename("text projection", r"^text_projection$", "lang_projection"),
    # timm: stages of blocks; the first ImageNet models number the two blocks of a pair, Florence-2's name them
    _rename(
        "timm channel attention, first form",
        r"(stages\.\d+\.blocks\.\d+)\.1\.attn\.qkv\.",
        r"\1.channel_block.attn.qkv.",
        _channel_first_to_query,
    ),
    _rename("timm stem", r"stem\.conv\.", "convs.0.proj."),
    _rename("timm stem norm", r"stem\.norm\.", "convs.0.norm."),
    _rename("timm downsampling", r"stages\.(\d+)\.downsample\.conv\.", r"convs.\1.proj."),
    _rename("timm downsampling norm", r"stages\.(\d+)\.downsample\.norm\.", r"convs.\1.norm."),
    _rename("timm stages", r"stages\.(\d+)\.blocks\.", r"blocks.\1."),
    _rename("timm head norm", r"head\.norm\.", "norms."),
    _rename("timm head", r"head\.fc\.", "head."),
    # DaViT's first publication, and Florence's
    _rename("embeddings", r"(?:conv|patch)_embeds\.", "convs."),
    _rename("main blocks", r"main_blocks\.", "blocks."),
    # the parts of a block, in both
    _rename("first of a pair", r"(blocks\.\d+\.\d+)\.0\.", r"\1.spatial_block."),
    _rename("second of a pair", r"(blocks\.\d+\.\d+)\.1\.", r"\1.channel_block."),
    _rename("first convolution", r"(spatial|channel)_block\.cpe(?:\.0|1)\.proj\.", r"\1_block.conv1.fn.dw."),
    _rename("second convolution", r"(spatial|channel)_block\.cpe(?:\.1|2)\.proj\.", r"\1_block.conv2.fn.dw."),
    _rename("window attention", r"spatial_block\.attn\.", "spatial_block.window_attn.fn."),
    _rename("channel attention", r"channel_block\.attn\.", "channel_block.channel_attn.fn."),
    _rename("window attention norm", r"spatial_block\.norm1\.", "spatial_block.window_attn.norm."),
    _rename("channel attention norm", r"channel_block\.norm1\.", "channel_block.channel_attn.norm."),
    _rename("MLP", r"(spatial|channel)_block\.mlp\.", r"\1_block.ffn.fn.net."),
    _rename("MLP norm", r"(spatial|channel)_block\.norm2\.", r"\1_block.ffn.norm."),
)
"""In this order; each is tried on what the ones before it made."""

IGNORED = re.compile(r"\.(?:relative_position_index|attn_mask)$")
"""Buffers of CoSwin that follow from its configuration."""


def renamed(key: str) -> tuple[str, list[Rename]]:
    """The model's name of a file's key, and the repairs that led there."""
    used: list[Rename] = []
    for rename in RENAMES:
        key, n = rename.pattern.subn(rename.replacement, key)
        if n:
            used.append(rename)
    return key, used


def _resize_positions(stored: Tensor, shape: Shape, grid: Grid | None) -> Tensor | None:
    """Text positions [L, C] → [L', C], linear along the length."""
    if stored.ndim != 2 or stored.shape[1] != shape[1]:
        return None
    rows = stored.T[None]  # [1, C, L]
    return F.interpolate(rows, size=shape[0], mode="linear", align_corners=False)[0].T


def _resize_bias_table(stored: Tensor, shape: Shape, grid: Grid | None) -> Tensor | None:
    """CoSwin's [(2S−1)², h] → [(2S'−1)², h], bicubic over the square of offsets."""
    if stored.ndim != 2 or stored.shape[1] != shape[1]:
        return None
    return _resize_square(stored, _square(shape[0]))


def _resize_grid(stored: Tensor, shape: Shape, grid: Grid | None) -> Tensor | None:
    """CoSwin's absolute positions [1, N, C] → [1, H·W, C], bicubic; the stored grid is taken to be square."""
    if stored.ndim != 3 or stored.shape[2] != shape[2]:
        return None
    table = _resize_square(stored[0], grid or _square(shape[1]))
    return None if table is None else table[None]


def _square(n: int) -> Grid | None:
    side = math.isqrt(n)
    return (side, side) if side * side == n else None


def _resize_square(rows: Tensor, grid: Grid | None) -> Tensor | None:
    """[S·S, C] → [H·W, C]; None where the rows make no square."""
    square = _square(rows.shape[0])
    if square is None or grid is None:
        return None
    planes = rows.T.unflatten(1, square)[None]  # [1, C, S, S]
    return F.interpolate(planes, size=grid, mode="bicubic", align_corners=False)[0].flatten(1).T


Resize = Callable[[Tensor, Shape, Grid | None], Tensor | None]

RESIZES: tuple[tuple[str, re.Pattern[str], Resize], ...] = (
    ("linear along the length", re.compile(r"^lang_encoder\.positional_embedding$"), _resize_positions),
    ("bicubic", re.compile(r"\.relative_position_bias_table$"), _resize_bias_table),
    ("bicubic", re.compile(r"(?:^|\.)absolute_pos_embed$"), _resize_grid),
)
"""The only tensors that may have another shape than the model's: tables of positions."""


def fit(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, file: str, grid: Grid | None = None
) -> dict[str, Tensor]:
    """Renamed tensors in the model's order and shapes, ready for `load_state_dict`.

    `wanted` is the model's state dict, of which only shapes count (it may be on the meta device); `grid` is the
    first grid of a model with absolute positions. Tensors that need no repair are passed on, not copied.
    Raises MissingTensor, UnexpectedTensor or ShapeMismatch, each naming the file and keys.
    """
    missing = [key for key in wanted if key not in tensors]
    unexpected = [key for key in tensors if key not in wanted]
    if missing:
        more = f" ({len(unexpected)} others are not expected: {_some(unexpected)})" if unexpected else ""
        raise MissingTensor(
            f"{file}: {len(missing)} of {len(wanted)} tensors are missing: {_some(missing)}{more}",
            hint="is this the weight file that config.yaml describes?",
        )
    if unexpected:
        raise UnexpectedTensor(
            f"{file}: {len(unexpected)} tensors that the model does not have: {_some(unexpected)}",
            hint="is this the weight file that config.yaml describes?",
        )
    fitted = {key: _resized(key, tensors[key], tuple(wanted[key].shape), grid, file) for key in wanted}
    wrong = [key for key in wanted if fitted[key].shape != wanted[key].shape]
    if wrong:
        shapes = [f"{key} is {list(fitted[key].shape)}, not {list(wanted[key].shape)}" for key in wrong]
        raise ShapeMismatch(
            f"{file}: {len(wrong)} tensors of another shape: {_some(shapes)}",
            hint="config.yaml gives other sizes than this file has",
        )
    return fitted


def rename_all(stored: Mapping[str, Tensor], *, file: str) -> dict[str, Tensor]:
    """The file's tensors under the model's names, without empty ones and buffers that follow from a configuration.

    Raises CheckpointError where two keys would get one name.
    """
    tensors: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    used: dict[str, None] = {}
    for key, tensor in stored.items():
        if IGNORED.search(key) or tensor.numel() == 0:  # muP models carry a head of no classes
            continue
        name, repairs = renamed(key)
        if name in origin:
            raise CheckpointError(f"{file}: both {origin[name]} and {key} are {name}")
        for repair in repairs:
            used[repair.name] = None
            tensor = repair.change(tensor) if repair.change else tensor
        tensors[name], origin[name] = tensor, key
    if used:
        logger.info("%s: another key layout, renamed: %s", file, ", ".join(used))
    return tensors


def _resized(key: str, tensor: Tensor, shape: Shape, grid: Grid | None, file: str) -> Tensor:
    """The tensor in `shape` where a resize is allowed; itself where none is needed, allowed or possible."""
    if tensor.shape == shape:
        return tensor
    for how, pattern, resize in RESIZES:
        if pattern.search(key):
            result = resize(tensor.to(torch.float32), shape, grid)
            if result is None:
                return tensor
            logger.warning("%s: %s resized from %s to %s, %s", file, key, list(tensor.shape), list(shape), how)
            return result.contiguous()
    return tensor


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
