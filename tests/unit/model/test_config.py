"""What an encoder cannot be, and the sizes that follow from what it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dualsight.errors import ConfigError, NoSuchPreset
from dualsight.model.config import PRESETS, CoSwinConfig, DaViTConfig, MuP, TextConfig, preset
from dualsight.model.cost import on_meta

DAVIT = DaViTConfig(widths=(8, 16, 32, 64), depths=(1, 1, 1, 1), heads=(2, 4, 8, 16), groups=(1, 2, 4, 8))
COSWIN = CoSwinConfig(image_size=(112, 224), width=16, depths=(2, 2, 2), heads=(1, 2, 4), patch_padding=3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"heads": (2, 4, 8)}, "DaViT: heads has 3 values for 4 stages"),
        ({"groups": (1,) * 5}, "DaViT: groups has 5 values for 4 stages"),
        ({"patch_size": (7,)}, "DaViT: patch_size has 1 values for 4 stages"),
        ({"patch_stride": (4,)}, "DaViT: patch_stride has 1 values for 4 stages"),
        ({"patch_padding": (3,)}, "DaViT: patch_padding has 1 values for 4 stages"),
        ({"patch_prenorm": ()}, "DaViT: patch_prenorm has 0 values for 4 stages"),
        ({"heads": (2, 4, 8, 0)}, "DaViT stage 4: width 64 is not a multiple of 0 heads"),
        ({"groups": (3, 2, 4, 8)}, "DaViT stage 1: width 8 is not a multiple of 3 groups"),
        ({"window": 0}, "DaViT: a window of 0 tokens is not a window"),
        ({"depths": (1, 0, 1, 1)}, "DaViT: depths is 1, 0, 1, 1, and 1 is the least"),
        ({"patch_stride": (4, 2, 0, 2)}, "DaViT: patch_stride is 4, 2, 0, 2, and 1 is the least"),
        ({"patch_size": (0, 3, 3, 3)}, "DaViT: patch_size is 0, 3, 3, 3, and 1 is the least"),
        ({"patch_padding": (3, 1, 1, -1)}, "DaViT: patch_padding is 3, 1, 1, -1, and 0 is the least"),
        ({"mup": MuP(widths=(8, 16, 32), heads=(2,) * 4, groups=(2,) * 4)}, "widths of muP's base has 3 values for 4"),
        ({"mup": MuP(widths=(8,) * 4, heads=(2,) * 4, groups=(2,) * 3)}, "groups of muP's base has 3 values for 4"),
        ({"mup": MuP(widths=(8,) * 4, heads=(2, 0, 2, 2), groups=(2,) * 4)}, "stage 2: a width 8 .* has no 0 heads"),
        ({"mup": MuP(widths=(8,) * 4, heads=(2,) * 4, groups=(9,) * 4)}, "stage 1: a width 8 .* has no 9 groups"),
    ],
)
def test_a_davit_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(DAVIT, **wrong)
    assert replace(DAVIT, window=1, heads=(1, 1, 1, 1), groups=(8, 16, 32, 64)).feature_width == 64


def test_a_davit_without_stages_cannot_be() -> None:
    none: dict[str, Any] = dict.fromkeys(("widths", "depths", "heads", "groups"), ())
    convs: dict[str, Any] = dict.fromkeys(("patch_size", "patch_stride", "patch_padding", "patch_prenorm"), ())
    with pytest.raises(ConfigError, match="DaViT: widths is empty"):
        DaViTConfig(**none, **convs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"heads": (1, 2)}, "CoSwin: 3 depths for 2 head counts"),
        ({"heads": (1, 3, 4)}, "CoSwin stage 2: width 32 is not a multiple of 3 heads"),
        ({"heads": (0, 2, 4)}, "CoSwin stage 1: width 16 is not a multiple of 0 heads"),
        ({"image_size": (120, 224)}, "CoSwin stage 1: a grid of 30×56 is not a multiple of the window 7"),
        ({"image_size": (112, 232)}, "CoSwin stage 1: a grid of 28×58 is not a multiple of the window 7"),
        ({"image_size": (0, 224)}, "CoSwin stage 1: a grid of 0×56 is not a multiple"),
        ({"window": 0}, "CoSwin: window is 0, and 1 is the least"),
        ({"patch_size": 0}, "CoSwin: patch_size is 0, and 1 is the least"),
        ({"patch_padding": -1}, "CoSwin: patch_padding is -1, and 0 is the least"),
        ({"depths": (2, 0, 2)}, "CoSwin: depths is 2, 0, 2, and 1 is the least"),
        ({"depths": (), "heads": ()}, "CoSwin: depths is empty"),
    ],
)
def test_a_coswin_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        replace(COSWIN, **wrong)
    assert ("IMAGE_SIZE" in caught.value.hint) is ("image_size" in wrong)


def test_the_sizes_of_a_coswin() -> None:
    assert COSWIN.grids == ((28, 56), (14, 28), (7, 14))
    assert COSWIN.widths == (16, 32, 64) and COSWIN.feature_width == 64
    assert [COSWIN.stage_window(stage) for stage in range(3)] == [7, 7, 7]
    deep = replace(COSWIN, image_size=(112, 112), depths=(1,) * 4, heads=(1,) * 4)
    assert [deep.stage_window(stage) for stage in range(4)] == [7, 7, 7, 4]  # the last grid is smaller than the window


def test_the_grids_of_an_even_kernel_on_a_ragged_picture_are_the_encoders() -> None:
    config = replace(COSWIN, image_size=(110, 222), patch_size=8, patch_padding=2)
    encoder: Any = on_meta(config)
    stages = encoder.stages(torch.empty(1, 3, *config.image_size, device="meta"))
    assert config.grids == tuple(stage.grid for stage in stages) == ((28, 56), (14, 28), (7, 14))


def test_a_text_encoder_that_cannot_be() -> None:
    for heads in (0, 3):
        with pytest.raises(ConfigError, match=f"text encoder: width 8 is not a multiple of {heads} heads"):
            TextConfig(width=8, heads=heads, layers=1)
    assert TextConfig(width=8, heads=1, layers=1).autoregressive


def test_a_name_near_no_preset_lists_them_all() -> None:
    with pytest.raises(NoSuchPreset, match=r"^no preset 'resnet'$") as caught:
        preset("resnet")
    assert caught.value.hint == f"known: {', '.join(PRESETS)}"
    with pytest.raises(NoSuchPreset) as caught:
        preset("davit-hug")
    assert caught.value.hint == "did you mean 'davit-huge'?"
