# Triton has no types, and is installed with CUDA alone.
from typing import Any

def __getattr__(name: str) -> Any: ...
