"""dualsight: MedImageInsight, Microsoft's dual encoder for medical images, open, local and exact.

    model = dualsight.load()                       # or a checkpoint folder, or a hub id
    model.encode_image(["chest.dcm"])              # float32 [1, D]
    model.classify(["chest.dcm"], ["pneumonia", "no finding"])

Research software: no output is a diagnosis.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dualsight import errors, image
    from dualsight.interface.client.async_client import AsyncClient
    from dualsight.interface.client.client import Client
    from dualsight.interface.medimageinsight import MedImageInsight
    from dualsight.store.index import Index
    from dualsight.task.explain.explain import explain
    from dualsight.task.model import Model, load

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "Client",
    "Index",
    "MedImageInsight",
    "Model",
    "__version__",
    "errors",
    "explain",
    "image",
    "load",
]

_HOME = {
    "AsyncClient": "dualsight.interface.client.async_client",
    "Client": "dualsight.interface.client.client",
    "Index": "dualsight.store.index",
    "MedImageInsight": "dualsight.interface.medimageinsight",
    "Model": "dualsight.task.model",
    "explain": "dualsight.task.explain.explain",
    "load": "dualsight.task.model",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that `import dualsight` costs next to nothing."""
    if name in ("errors", "image"):
        return importlib.import_module(f"dualsight.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'dualsight' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
