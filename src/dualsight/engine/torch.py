"""The torch engine: the model itself, in evaluation mode, on one device.

float32 is exact: on NVIDIA GPUs convolutions are told not to use TF32, and matrix products do not unless the program
itself has asked torch for it. bfloat16 and float16 multiply matrices and convolve in that type; norms, softmax and the
residual stream stay in float32 (torch's autocast). Pictures are given in channels-last memory, in which tokens and maps
are views of each other.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from dualsight.errors import EngineError
from dualsight.model.dual import DualEncoder

Precision = Literal["float32", "bfloat16", "float16"]
_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchEngine:
    """Runs a DualEncoder: images in the precision asked for, texts in float32.

    The module is moved to the device, not copied; in reduced precision the image tower is a copy.
    """

    def __init__(
        self, model: DualEncoder, device: str = "cpu", *, precision: Precision = "float32", compiled: int | None = None
    ) -> None:
        """compiled: compiles the image tower (torch.compile) for batches of just so many pictures, on a GPU as a CUDA
        graph; it costs a minute at first. Fewer pictures are filled up to a whole batch.

        Raises EngineError if torch has no such device here, or the device no such precision.
        """
        self.device = find_device(device)
        self.model = model.to(self.device).eval()
        self.precision = precision
        if precision == "float16" and self.device.type == "cpu":
            raise EngineError("float16 is slower than float32 on a processor", hint="use bfloat16 or float32")
        images = self._images if precision == "float32" else self._reduced()
        self._compiled = compiled
        self._encode: Callable[[Tensor], Tensor] = images
        if compiled is not None:
            mode = "reduce-overhead" if self.device.type == "cuda" else "default"
            self._encode = torch.compile(images, dynamic=False, mode=mode)

    @property
    def name(self) -> str:
        """Library, precision, device."""
        how = f", compiled for {self._compiled}" if self._compiled else ""
        return f"torch {torch.__version__.split('+')[0]}, {self.precision}{how}, {self.device}"

    @torch.inference_mode()
    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised pixels [B, 3, H, W] → embeddings [B, D] of unit length."""
        batch = torch.from_numpy(pixels)
        if self._compiled is None:
            return self._encoded(batch)
        filled = torch.cat([batch, batch.new_zeros(-len(batch) % self._compiled, *batch.shape[1:])])
        return np.concatenate([self._encoded(part) for part in filled.split(self._compiled)])[: len(batch)]

    @torch.inference_mode()
    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Token ids [B, L] and their mask → embeddings [B, D] of unit length."""
        ids, mask = (torch.from_numpy(array).to(self.device) for array in (input_ids, attention_mask))
        return self._array(self.model.encode_text(ids, mask))

    def _encoded(self, batch: Tensor) -> NDArray[np.float32]:
        if self.device.type == "cuda":
            batch = batch.pin_memory()  # the copy from there needs no processor, and this thread does not wait for it
        batch = batch.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return self._array(self._encode(batch))

    def _images(self, pixels: Tensor) -> Tensor:
        return self.model.encode_image(pixels)

    def _reduced(self) -> Callable[[Tensor], Tensor]:
        """The image tower with its large weights stored in the precision, so that no call converts them again."""
        encoder = copy.deepcopy(self.model.image_encoder)
        for module in encoder.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.to(_TYPES[self.precision])

        def encode(pixels: Tensor) -> Tensor:
            with torch.autocast(self.device.type, _TYPES[self.precision]):
                tokens = encoder.stages(pixels)[-1].tokens
            return F.normalize(encoder.pool(tokens.float()) @ self.model.image_projection, dim=-1)

        return encode

    @staticmethod
    def _array(embeddings: Tensor) -> NDArray[np.float32]:
        return cast("NDArray[np.float32]", embeddings.float().cpu().numpy())


def find_device(name: str) -> torch.device:
    """The device of that name, on which a number has been kept. Raises EngineError where torch has none such here."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise EngineError(f"no device {name!r}", hint="one of: cpu, cuda, cuda:1, mps, …") from None
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:  # by device: no driver, no such number, not built in, no memory
        reason = re.split(r"\. |\n", str(error))[0]
        hint = "`dualsight doctor` lists what there is"
        raise EngineError(f"this torch has no {device} device ({reason})", hint=hint) from None
    return device
