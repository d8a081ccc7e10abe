"""What of a model is trained: all of it, a part, or low-rank additions to its linear layers.

choose(model, freeze, lora) ──training──▶ merge(model): the additions become part of the weights
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from torch import nn
from torch.utils.checkpoint import checkpoint

from dualsight.errors import ConfigError, MissingExtra
from dualsight.model.coswin import SwinBlock
from dualsight.model.davit import Pair
from dualsight.model.dual import DualEncoder
from dualsight.model.transformer import ResidualAttentionBlock

if TYPE_CHECKING:
    from dualsight.learn.train.config import Lora

BLOCKS = (Pair, SwinBlock, ResidualAttentionBlock)
"""What encoders are made of: the unit of activation checkpointing and of sharing weights out."""


def choose(model: DualEncoder, *, freeze: Sequence[str] = (), lora: Lora | None = None) -> None:
    """Marks the parameters to be trained (`requires_grad`), after adding low-rank ones where `lora` is given.

    freeze: patterns of parameter names, `*` for any text. Raises ConfigError for a pattern or layer that names
    nothing, and where nothing is left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in freeze:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"freeze: {pattern!r} names no parameter", hint=f"for example {names[0]} or image_encoder.*"
            )
    if lora is not None:
        _add(model, lora, freeze)
    for name, parameter in model.named_parameters():
        frozen = any(fnmatchcase(name.replace(".base_layer.", "."), pattern) for pattern in freeze)
        parameter.requires_grad_(not frozen and (lora is None or ".lora_" in name))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("freeze: nothing is left to train")


def _add(model: DualEncoder, lora: Lora, freeze: Sequence[str]) -> None:
    """Gives each linear layer that `lora` names, and that is not frozen, its two matrices."""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    for leaf in lora.layers:
        if not any(name.rsplit(".", 1)[-1] == leaf for name in linear):
            known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
            raise ConfigError(f"lora.layers: no linear layer is called {leaf!r}", hint=f"there are: {known}")
    wanted = [
        name
        for name in linear
        if name.rsplit(".", 1)[-1] in lora.layers and not any(fnmatchcase(f"{name}.weight", one) for one in freeze)
    ]
    if not wanted:
        raise ConfigError("lora: every layer that it names is frozen", hint="leave one out of freeze, or name others")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingExtra("LoRA needs peft", hint="pip install 'dualsight[train]'") from None
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # peft computes with any number
        lora_dropout=lora.dropout,
        target_modules=wanted,
    )
    inject_adapter_in_model(config, model)


def merge(model: DualEncoder) -> None:
    """Adds each low-rank update to the weight it belongs to; the model then has its own keys again."""
    try:
        from peft.tuners.lora import LoraLayer
    except ImportError:
        return  # nobody can have added any
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge(safe_merge=True)
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, module.get_base_layer())


def save_activations(model: DualEncoder) -> None:
    """Lets every block keep only what goes into it, and compute the rest again for its gradient (arXiv 1604.06174)."""
    for module in model.modules():
        if isinstance(module, BLOCKS):
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)  # type: ignore[method-assign]  # of this one block
