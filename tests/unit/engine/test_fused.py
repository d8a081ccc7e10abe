from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

import plain_kernels
from dualsight.checkpoint.load import load_checkpoint, load_config
from dualsight.engine.cuda import CudaEngine, cuda_engine
from dualsight.engine.fused import FusedDaViT, covers
from dualsight.engine.staging import stage
from dualsight.engine.torch import TorchEngine
from dualsight.errors import EngineError
from dualsight.image.prepare import Preprocessing, normalise
from dualsight.model.config import DaViTConfig
from dualsight.model.davit import DaViT
from dualsight.model.dual import DualEncoder

RNG = np.random.default_rng(3)
COLOUR = RNG.integers(0, 256, (2, 40, 32, 3), np.uint8)
GREY = np.broadcast_to(RNG.integers(0, 256, (2, 40, 32, 1), np.uint8), (2, 40, 32, 3))
PICTURES = [COLOUR[0], GREY[0], COLOUR[1], GREY[1]]
NORMAL = Preprocessing(height=40, width=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def fused_of(model: DualEncoder) -> FusedDaViT:
    encoder = cast(DaViT, model.image_encoder)
    return FusedDaViT(encoder, model.image_projection, torch.float32, plain_kernels)


@pytest.mark.parametrize("name", ["davit", "davit-wide", "davit-mup"])
@pytest.mark.parametrize("size", [(64, 64), (100, 60)])
def test_the_fused_encoder_computes_what_the_module_computes(
    recipe_folder: Callable[[str], Path], name: str, size: tuple[int, int]
) -> None:
    model = load_checkpoint(recipe_folder(name)).model
    fused = fused_of(model)
    pixels = torch.from_numpy(RNG.normal(size=(2, 3, *size)).astype(np.float32))
    grid = fused.stem.grid(size)
    patches = torch.empty(2 * grid[0] * grid[1], 3 * fused.stem.columns)
    plain_kernels.patches(pixels.permute(0, 2, 3, 1), torch.ones(3), torch.zeros(3), fused.stem, patches)
    with torch.inference_mode():
        expected = model.encode_image(pixels)
    torch.testing.assert_close(fused(patches, grid), expected, atol=2e-6, rtol=0)  # sums in another order


def test_the_stem_gives_patches_and_weights_as_two_numbers_each(recipe_folder: Callable[[str], Path]) -> None:
    model = load_checkpoint(recipe_folder("davit")).model
    encoder = cast(DaViT, model.image_encoder)
    half = FusedDaViT(encoder, model.image_projection, torch.bfloat16, plain_kernels).stem
    exact = fused_of(model).stem
    pixels = torch.from_numpy(COLOUR)
    grid = exact.grid((40, 32))
    rows = {}
    for stem in (half, exact):
        patches = torch.empty(2 * grid[0] * grid[1], 3 * stem.columns, dtype=stem.weight.dtype)
        plain_kernels.patches(pixels, torch.full((3,), 1 / 255), torch.zeros(3), stem, patches)
        rows[stem] = patches.float() @ stem.weight.float().T
    torch.testing.assert_close(rows[half], rows[exact], atol=5e-5, rtol=0)  # rounded once it would be 5e-3


def test_what_the_fused_encoder_covers(recipe_folder: Callable[[str], Path]) -> None:
    demo = load_config("demo").dual.image
    assert isinstance(demo, DaViTConfig)
    assert covers(demo)
    assert not covers(replace(demo, conv_at_attn=False))
    assert not covers(replace(demo, heads=tuple(2 * heads for heads in demo.heads)))  # eight channels each
    assert not covers(replace(demo, window=17))
    assert not covers(load_config(recipe_folder("coswin")).dual.image)


def test_staged_pictures_come_back_in_order() -> None:
    staged = stage(PICTURES, pinned=False)
    assert len(staged.pixels) == 40 * 32 * (3 + 1 + 3 + 1)
    lying = torch.cat(staged.views(staged.pixels)).numpy()
    np.testing.assert_array_equal(lying[staged.places], np.stack(PICTURES))
    rows = np.arange(4, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(staged.in_order(rows[np.argsort(staged.places)]), rows)


@pytest.mark.parametrize("pictures", [PICTURES[:1], PICTURES[1:2], [COLOUR[0][::-1], COLOUR[1]]])
def test_pictures_of_one_kind_are_staged(pictures: list[np.ndarray]) -> None:
    staged = stage(pictures, pinned=False)
    (lying,) = staged.views(staged.pixels)
    np.testing.assert_array_equal(lying.numpy(), np.stack(pictures))


def test_bytes_are_normalised_into_patches(recipe_folder: Callable[[str], Path]) -> None:
    """What the engine does on a GPU before its graph, without one."""
    fused = fused_of(load_checkpoint(recipe_folder("davit")).model)
    engine = object.__new__(CudaEngine)
    engine.device, engine._colours, engine._fused = torch.device("cpu"), {}, fused
    engine._kernels = plain_kernels
    staged = stage(PICTURES, pinned=False)
    grid = fused.stem.grid((40, 32))
    found = torch.full((5, grid[0] * grid[1], 3 * fused.stem.columns), 7.0)
    engine._fill(found, staged.views(staged.pixels), engine._colour(NORMAL))
    normal = torch.from_numpy(np.stack([normalise(picture, NORMAL) for picture in PICTURES]))
    expected = torch.empty_like(found[:4])
    one, zero = engine._colour(None)
    plain_kernels.patches(normal.permute(0, 2, 3, 1), one, zero, fused.stem, expected.view(-1, expected.shape[2]))
    torch.testing.assert_close(found[:4][torch.from_numpy(staged.places)], expected, atol=2e-6, rtol=0)
    assert (found[4] == 7).all()


def test_without_a_gpu_there_is_no_gpu_engine() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(EngineError, match="no cuda device"):
        cuda_engine(load_checkpoint("demo").model, "cuda", "bfloat16")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_nearly_the_same_in_bfloat16() -> None:
    model = load_checkpoint("demo").model
    engine = cuda_engine(model, "cuda", "bfloat16")
    assert isinstance(engine, CudaEngine)
    size = replace(NORMAL, height=112, width=112)
    pictures = [np.ascontiguousarray(np.kron(p[:28, :28], np.ones((4, 4, 1), np.uint8))) for p in PICTURES]
    pictures[1] = np.broadcast_to(pictures[1][:, :, :1], pictures[1].shape)
    pixels = np.stack([normalise(picture, size) for picture in pictures])
    expected = TorchEngine(model, "cuda").encode_images(pixels)
    for found in (engine.encode_images(pixels), engine.start_images(pictures, size)()):
        assert (found * expected).sum(1).min() > 0.999
    many = engine.encode_images(np.concatenate([pixels] * 40))  # more than one graph's
    assert (many * np.concatenate([expected] * 40)).sum(1).min() > 0.999
    model.to("cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_each_kernel_computes_what_plain_torch_computes() -> None:
    kernels = pytest.importorskip("dualsight.engine.kernels")
    from dualsight.engine.fused import Channels, Local, Norm, Windows

    draw = torch.Generator("cuda").manual_seed(0)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device="cuda", generator=draw)

    for channels, grid in ((32, (9, 7)), (96, (15, 15)), (1024, (30, 30))):
        tokens = numbers(2 * grid[0] * grid[1], channels).bfloat16()
        norm = Norm(numbers(channels), numbers(channels), 1e-5)
        for owed in (None, numbers(channels)):
            local = Local(numbers(9, channels) / 3, numbers(channels), norm, numbers(channels), owed)
            for found, expected in zip(
                kernels.local_norm(tokens, grid, local), plain_kernels.local_norm(tokens, grid, local), strict=True
            ):
                torch.testing.assert_close(found, expected, atol=0.05, rtol=0.02)
        torch.testing.assert_close(kernels.norm(tokens, norm), plain_kernels.norm(tokens, norm), atol=0.05, rtol=0.02)
        qkv = numbers(len(tokens), 3 * channels).bfloat16()
        windows = Windows(channels // 32, 12, 32**-0.5, numbers(3 * channels).bfloat16())
        found, expected = (of.window_attention(qkv, grid, windows) for of in (kernels, plain_kernels))
        torch.testing.assert_close(found, expected, atol=0.05, rtol=0.02)
        groups = Channels(channels // 32, None, 0.7)
        found, expected = (of.channel_attention(qkv, grid, groups) for of in (kernels, plain_kernels))
        torch.testing.assert_close(found, expected, atol=0.05, rtol=0.02)
