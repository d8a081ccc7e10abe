"""Any file to pixels: what a user points at, told by content, decoded to frames and prepared for the encoder."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dualsight.image.frame import Frame, FrameMeta
    from dualsight.image.limits import Limits
    from dualsight.image.open import open
    from dualsight.image.prepare import Preprocessing, prepare
    from dualsight.image.source import scan

__all__ = ["Frame", "FrameMeta", "Limits", "Preprocessing", "open", "prepare", "scan"]

_HOME = {
    "Frame": "frame",
    "FrameMeta": "frame",
    "Limits": "limits",
    "Preprocessing": "prepare",
    "open": "open",
    "prepare": "prepare",
    "scan": "source",
}


def __getattr__(name: str) -> Any:
    """Imports a public name from its module on first use, so that `import dualsight` costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
