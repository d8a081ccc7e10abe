from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dualsight.checkpoint.load import load_checkpoint
from dualsight.engine.agreement import smooth_pixels
from dualsight.engine.cuda import cuda_engine
from dualsight.engine.torch import TorchEngine
from dualsight.errors import EngineError
from dualsight.model.dual import DualEncoder

PIXELS = np.random.default_rng(1).normal(size=(2, 3, 64, 64)).astype(np.float32)
TEXTS = ("x-ray chest anteroposterior pneumonia", "mri brain", "ct", "lumbar spine sagittal t2 in a long description")
# A cheap guard of speed: not seconds, but what is computed. A change that computes more fails; one that computes less
# fails, too: then its figures belong here.
IMAGE_FLOPS = {"davit": 88_254_464, "davit-mup": 73_619_456, "coswin": 90_982_400}  # of two pictures
TEXT_FLOPS = {"davit": 3_443_712}  # of these four texts, without their padding


@pytest.fixture(scope="module")
def encoder(recipe_folder: Callable[[str], Path]) -> DualEncoder:
    return load_checkpoint(recipe_folder("davit-static-scale")).model


def test_it_computes_what_the_model_computes(encoder: DualEncoder) -> None:
    before = PIXELS.copy()
    found = TorchEngine(encoder).encode_images(PIXELS)
    with torch.inference_mode():
        expected = encoder.encode_image(torch.from_numpy(PIXELS)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert np.array_equal(PIXELS, before)


def test_nothing_is_pinned_for_the_cpu(encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", None)
    assert TorchEngine(encoder).encode_images(PIXELS).shape == (2, 40)


def test_a_gpu_would_be_asked_for_cudnn_without_tf32(encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def encode_image(pixels: torch.Tensor) -> torch.Tensor:
        seen.append((torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32))
        return torch.zeros(len(pixels), 40)

    monkeypatch.setattr(encoder, "encode_image", encode_image)
    TorchEngine(encoder).encode_images(PIXELS)
    assert seen == [(True, False)]


def test_compiled_batches_have_one_shape(encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def compiled(images: Callable[[torch.Tensor], torch.Tensor], **options: object) -> object:
        assert options == {"dynamic": False, "mode": "default"}

        def run(pixels: torch.Tensor) -> torch.Tensor:
            shapes.append(tuple(pixels.shape))
            return images(pixels)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    engine = TorchEngine(encoder, compiled=3)
    pixels = np.concatenate([PIXELS, PIXELS[::-1]])
    np.testing.assert_allclose(engine.encode_images(pixels), TorchEngine(encoder).encode_images(pixels), atol=1e-6)
    assert shapes == [(3, 3, 64, 64)] * 2
    assert engine.name.endswith("compiled for 3, cpu")


@pytest.mark.slow  # torch has a C++ compiler build what it computes: 40 seconds
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, about itself
def test_compiled_by_torch_it_computes_the_same(encoder: DualEncoder) -> None:
    found = TorchEngine(encoder, compiled=2).encode_images(PIXELS)
    np.testing.assert_allclose(found, TorchEngine(encoder).encode_images(PIXELS), atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_the_same_from_pinned_memory(encoder: DualEncoder) -> None:
    expected = TorchEngine(encoder).encode_images(PIXELS)
    found = TorchEngine(encoder, "cuda").encode_images(PIXELS)
    encoder.to("cpu")
    assert (found * expected).sum(1).min() > 0.9999


def test_a_device_that_is_not_there(encoder: DualEncoder) -> None:
    with pytest.raises(EngineError, match="no device 'gpu'"):
        TorchEngine(encoder, "gpu")
    if not torch.cuda.is_available():
        with pytest.raises(EngineError, match="no cuda device"):
            TorchEngine(encoder, "cuda")


@pytest.mark.parametrize("device", ["cuda:99", "xpu:99", "meta"])
def test_a_device_that_keeps_no_numbers_here(encoder: DualEncoder, device: str) -> None:
    with pytest.raises(EngineError, match=f"no {device} device") as caught:
        TorchEngine(encoder, device)
    assert "doctor" in caught.value.hint
    with pytest.raises(EngineError, match=f"no {device} device"):
        cuda_engine(encoder, device, "bfloat16")


@pytest.mark.parametrize("name", IMAGE_FLOPS)
def test_pictures_cost_no_more(name: str, recipe_folder: Callable[[str], Path]) -> None:
    checkpoint = load_checkpoint(recipe_folder(name))
    size = checkpoint.config.preprocessing.height, checkpoint.config.preprocessing.width
    with FlopCounterMode(display=False) as counter:
        TorchEngine(checkpoint.model).encode_images(smooth_pixels(2, size))
    assert counter.get_total_flops() == IMAGE_FLOPS[name]


@pytest.mark.parametrize("name", TEXT_FLOPS)
def test_texts_cost_no_more(name: str, recipe_folder: Callable[[str], Path]) -> None:
    checkpoint = load_checkpoint(recipe_folder(name))
    tokens = checkpoint.tokenizer(TEXTS)
    with FlopCounterMode(display=False) as counter:
        TorchEngine(checkpoint.model).encode_texts(tokens.input_ids, tokens.attention_mask)
    assert counter.get_total_flops() == TEXT_FLOPS[name]
    assert tokens.attention_mask.sum() < 0.7 * np.prod(tokens.attention_mask.shape)  # there was padding to save
