"""One weight file: told by content, never by suffix; read without executing anything.

A safetensors file is an 8-byte little-endian length n, n bytes of JSON (key → dtype, shape, offsets), and data.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from dualsight.errors import CheckpointError, CorruptFile

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MAX_HEADER = 100_000_000  # bytes; the format's own limit
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_AS_SAFETENSORS = (
    "convert it where you trust it: "
    "safetensors.torch.save_file(torch.load(FILE, weights_only=True, map_location='cpu'), 'model.safetensors')"
)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What the header says of one tensor."""

    dtype: str  # as safetensors spells it: F32, F16, BF16, I64, …
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Key → dtype and shape, in the file's order; no weight is read.

    Raises CorruptFile for a pickle, anything else that is not safetensors, and a truncated file;
    CheckpointError where the file cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
            length = int.from_bytes(start[:8], "little")
            if not (start[8:9] == b"{" and length <= min(_MAX_HEADER, size)):
                raise _not_safetensors(path, start, size)
            file.seek(8)
            header = file.read(length)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        infos = {key: TensorInfo(entry["dtype"], tuple(entry["shape"])) for key, entry in entries.items()}
        expected = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"{path}: the safetensors header is damaged ({error.__class__.__name__})") from error
    if size != expected:
        what = "truncated" if size < expected else "longer than its header says"
        raise CorruptFile(
            f"{path}: {what}: {size:,} bytes, and {expected:,} expected", hint="copy or download it again"
        )
    return infos


def map_tensors(path: Path) -> dict[str, Tensor]:
    """Key → tensor on the CPU, backed by the file: pages are read when first touched, writes stay private.

    Raises as `read_header` does.
    """
    read_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise CorruptFile(f"{path}: {error}") from error


def as_floats(key: str, tensor: Tensor, dtype: torch.dtype, file: str) -> Tensor:
    """The tensor itself where it has that type already, else a converted copy.

    Raises CheckpointError for anything but real floating-point numbers: integers would need a scale.
    """
    if not tensor.is_floating_point():
        stored = str(tensor.dtype).removeprefix("torch.")
        raise CheckpointError(f"{file}: {key} holds {stored} and not floating-point numbers")
    return tensor.to(dtype)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes. Raises CheckpointError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error


def _not_safetensors(path: Path, start: bytes, size: int) -> CorruptFile:
    if size == 0:
        return CorruptFile(f"{path}: an empty file", hint="copy or download it again")
    if start.startswith(b"PK\x03\x04") or _PICKLE.match(start):
        return CorruptFile(f"{path}: is a pickle, which dualsight never opens", hint=_AS_SAFETENSORS)
    if start.startswith(b"version https://git-lfs"):
        return CorruptFile(f"{path}: a Git LFS pointer, not the weights", hint="run `git lfs pull` in that repository")
    return CorruptFile(f"{path}: not a safetensors file ({size:,} bytes)", hint="copy or download it again")
