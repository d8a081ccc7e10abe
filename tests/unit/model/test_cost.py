from __future__ import annotations

import pytest
import torch

from dualsight.checkpoint.config import read_config
from dualsight.errors import ConfigError
from dualsight.model.config import CoSwinConfig, DaViTConfig, TextConfig
from dualsight.model.cost import PARTS, Cost, image_costs, on_meta, text_costs, total
from golden import Golden

TINY = DaViTConfig(widths=(8, 16), depths=(2, 1), heads=(2, 4), groups=(1, 2), patch_size=(7, 3), patch_stride=(4, 2),
                   patch_padding=(3, 1), patch_prenorm=(False, True), window=4, qkv_bias=False)  # fmt: skip


def test_macs_of_davit_by_hand() -> None:
    (first, second), head = image_costs(TINY, (32, 32))  # grids 8×8 and 4×4, whole windows of 4×4
    n, c = 64, 8
    assert first["conv embedding"].macs == n * 7 * 7 * 3 * c
    assert first["depthwise conv"].macs == 2 * 4 * n * 9 * c  # two pairs of four convolutions
    assert first["window attention"].macs == 2 * (4 * n * c * c + 2 * n * 16 * c)  # q, k, v, projection; two products
    assert first["channel attention"].macs == 2 * (4 * n * c * c + 2 * n * c * c)  # one group of eight
    assert first["feed-forward"].macs == 2 * 2 * 2 * n * c * 4 * c
    assert second["conv embedding"].macs == 16 * 3 * 3 * c * 16
    assert head == Cost(parameters=2 * 16, macs=0)


def test_parameters_of_davit_by_hand() -> None:
    (first, _), _ = image_costs(TINY, (32, 32))
    assert first["conv embedding"].parameters == 7 * 7 * 3 * 8 + 8 + 2 * 8
    assert first["depthwise conv"].parameters == 2 * 4 * (9 * 8 + 8)
    assert first["channel attention"].parameters == 2 * (2 * 8 + 4 * 8 * 8 + 8)  # norm, matrices, one bias


@pytest.mark.parametrize("name", ["davit", "davit-mup", "coswin", "coswin-ape-layerscale"])
def test_every_parameter_is_in_one_part(name: str) -> None:
    dual = read_config(Golden(name).config).dual
    stages, head = image_costs(dual.image, dual.image_size)
    counted = total(cost for stage in stages for cost in stage.values()) + head
    assert counted.parameters == sum(p.numel() for p in on_meta(dual.image).parameters())
    assert head == Cost(parameters=2 * dual.image.feature_width)
    assert all(set(stage) == set(PARTS) for stage in stages)


def test_coswin_has_no_channel_attention_and_one_size() -> None:
    dual = read_config(Golden("coswin").config).dual
    assert isinstance(dual.image, CoSwinConfig)
    stages, _ = image_costs(dual.image, dual.image_size)
    assert all(stage["channel attention"] == Cost() and stage["window attention"].macs for stage in stages)
    with pytest.raises(ConfigError, match="cannot take 32×32"):
        image_costs(dual.image, (32, 32))


def test_text_macs_by_hand() -> None:
    config = TextConfig(width=8, heads=2, layers=3, vocabulary=50, context_length=10)
    short, long = text_costs(config, (4, 10))
    for cost, n in ((short, 4), (long, 10)):
        assert cost.macs == 3 * (12 * n * 8 * 8 + 2 * n * n * 8)
    assert short.parameters == long.parameters == sum(p.numel() for p in on_meta(config).parameters())


def test_meta_model_has_no_memory() -> None:
    model = on_meta(read_config(Golden("davit").config).dual)
    assert not model.training
    assert {parameter.device for parameter in model.parameters()} == {torch.device("meta")}


def test_two_operations_for_a_mac() -> None:
    assert (Cost(1, 2) + Cost(10, 20)).flops == 44
