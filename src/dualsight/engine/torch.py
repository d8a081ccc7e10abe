"""The torch engine: the model itself, in evaluation mode, on one device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dualsight.errors import EngineError
from dualsight.model.dual import DualEncoder


class TorchEngine:
    """Runs a DualEncoder in float32. The module is moved to the device, not copied."""

    def __init__(self, model: DualEncoder, device: str = "cpu") -> None:
        """Raises EngineError if torch has no such device here."""
        self.device = _device(device)
        self.model = model.to(self.device).eval()

    @property
    def name(self) -> str:
        """Library, precision, device."""
        return f"torch {torch.__version__.split('+')[0]}, float32, {self.device}"

    @torch.inference_mode()
    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised pixels [B, 3, H, W] → embeddings [B, D] of unit length."""
        batch = torch.from_numpy(pixels)
        if self.device.type == "cuda":
            batch = batch.pin_memory()  # the copy from there needs no processor, and this thread does not wait for it
        batch = batch.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        return self._array(self.model.encode_image(batch))

    @torch.inference_mode()
    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Token ids [B, L] and their mask → embeddings [B, D] of unit length."""
        ids, mask = (torch.from_numpy(array).to(self.device) for array in (input_ids, attention_mask))
        return self._array(self.model.encode_text(ids, mask))

    @staticmethod
    def _array(embeddings: torch.Tensor) -> NDArray[np.float32]:
        return np.asarray(embeddings.float().cpu().numpy(), dtype=np.float32)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise EngineError(f"no device {name!r}", hint="one of: cpu, cuda, cuda:1, mps, …") from None
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, True):
        raise EngineError(f"this torch has no {device.type} device", hint="`dualsight doctor` lists what there is")
    return device
