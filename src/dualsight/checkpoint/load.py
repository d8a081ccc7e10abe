"""A checkpoint on disk → a model in memory, its weights mapped and not copied.

torch is imported with the weights: what was compiled for another runtime before starts without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dualsight.checkpoint.config import ModelConfig, parse_config, read_config, read_text
from dualsight.checkpoint.hub import resolve
from dualsight.checkpoint.layout import DEMO_MARK, INT8_GRAPH, INT8_REPORT, is_sole, locate
from dualsight.errors import CheckpointError
from dualsight.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from dualsight.model.dual import DualEncoder


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A model with all that belongs to it."""

    load_model: Callable[[], DualEncoder]
    config: ModelConfig
    config_text: str  # config.yaml as it was read
    tokenizer: Tokenizer
    name: str  # the folder's, file's or hub id, or "demo"
    path: Path | None = None  # the folder; None: made in memory
    weights: Path | None = None  # the file that was read, which a user may have named; None: made in memory
    tokenizer_folder: Path | None = None  # None: the packaged tokenizer
    is_demo: bool = False

    @cached_property
    def model(self) -> DualEncoder:
        """In evaluation mode; its parameters can be trained. Of an opened checkpoint its weights are read now: raises
        CheckpointError.
        """
        return self.load_model()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over weights, configuration and preprocessing: equal embeddings only from equal fingerprints.

        Computed once, when first asked for (about 2 s for the official weights), of the weights as they are then.
        Independent of where and how the checkpoint is stored.
        """
        from dualsight.checkpoint.assemble import fingerprint

        return fingerprint(self.model, self.config)

    @property
    def int8_graph(self) -> Path | None:
        """The image tower in int8 that `dualsight quantize` has made from these weights; None for any other checkpoint.

        Of another weight file in a quantised folder it is none: which file is meant is told by the fingerprint, where
        there are several. Raises CheckpointError as `model` does, then only.
        """
        if self.path is None or self.weights is None or not (self.path / INT8_GRAPH).is_file():
            return None
        is_own = is_sole(self.path, self.weights) or _quantised_from(self.path) == self.fingerprint
        return self.path / INT8_GRAPH if is_own else None

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


def load_checkpoint(where: str | Path) -> Checkpoint:
    """The checkpoint at a path, of a hub id ("owner/name", "owner/name@revision"), or the packaged "demo".

    Weights stored as float32 are mapped from the file and read when first used; others are converted.
    Only a hub id touches the network. Raises CheckpointError (MissingTensor, UnexpectedTensor, ShapeMismatch,
    CorruptFile, DownloadError) or ConfigError, each naming the file.
    """
    checkpoint = open_checkpoint(where)
    _ = checkpoint.model  # whatever is wrong with it, is wrong now
    return checkpoint


def open_checkpoint(where: str | Path) -> Checkpoint:
    """What `load_checkpoint` loads, its weights not before `model` is asked for; it may raise what is wrong then."""
    path, name = resolve(where)
    layout = locate(path)
    config_text = read_text(layout.config)
    config = parse_config(config_text, file=str(layout.config))
    tokenizer = Tokenizer.packaged() if layout.tokenizer is None else Tokenizer.from_folder(layout.tokenizer)
    if tokenizer.vocabulary_size > config.dual.text.vocabulary:
        raise CheckpointError(
            f"{layout.tokenizer}: {tokenizer.vocabulary_size:,} tokens, and the model has room for "
            f"{config.dual.text.vocabulary:,}"
        )

    def load_model() -> DualEncoder:
        from dualsight.checkpoint.assemble import load_dual_encoder

        return load_dual_encoder(layout.weights, config.dual)

    return Checkpoint(
        load_model=load_model,
        config=config,
        config_text=config_text,
        tokenizer=tokenizer,
        name=name,
        path=layout.folder,
        weights=layout.weights,
        tokenizer_folder=layout.tokenizer,
        is_demo=config_text.startswith(DEMO_MARK),
    )


def _quantised_from(folder: Path) -> str | None:
    """The fingerprint of the weights that a folder's int8 graph was made from; None where no report tells it."""
    try:
        return str(json.loads((folder / INT8_REPORT).read_text(encoding="utf-8"))["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_config(where: str | Path) -> ModelConfig:
    """The configuration alone of what `load_checkpoint` would load. Raises CheckpointError or ConfigError."""
    path, _ = resolve(where)
    return read_config(locate(path).config)
