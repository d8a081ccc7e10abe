from __future__ import annotations

import json
from typing import Any

import pytest

from dualsight.checkpoint.config import read_config
from dualsight.model.config import PRESETS, DaViTConfig, DualConfig, preset
from dualsight.model.cost import on_meta
from dualsight.task.inspect.table import ImageTable, ModelTable, compare, image_table, model_table, weight_table
from golden import HERE, Golden

TIMM: dict[str, Any] = json.loads((HERE / "timm-davit" / "models.json").read_text())
PAPER_GMAC = {"davit-tiny": 4.5, "davit-small": 8.8, "davit-base": 15.5}  # arXiv 2204.03645, table 2, at 224²


@pytest.fixture(scope="module")
def official() -> ModelTable:
    dual = read_config(Golden("official-size").config).dual
    return model_table(dual, dual.image_size)


def _column(image: ImageTable, name: str) -> tuple[Any, ...]:
    return tuple(getattr(stage, name) for stage in image.stages)


def test_the_articles_table(official: ModelTable) -> None:
    image = official.image
    assert image.image_size == (480, 480)
    assert _column(image, "kernel") == (7, 3, 3, 3)
    assert _column(image, "stride") == (4, 2, 2, 2)
    assert _column(image, "padding") == (3, 1, 1, 1)
    assert _column(image, "grid") == ((120, 120), (60, 60), (30, 30), (15, 15))
    assert _column(image, "channels") == (256, 512, 1024, 2048)
    assert _column(image, "heads") == _column(image, "groups") == (8, 16, 32, 64)
    assert _column(image, "blocks") == (1, 1, 9, 1)
    assert _column(image, "window") == (12, 12, 12, 12)


def test_official_parameters(official: ModelTable) -> None:
    assert official.text is not None
    assert official.image.total.parameters == 360_636_416 == TIMM["davit_huge_fl"]["params"]
    assert official.text.parameters == 252_214_272
    assert official.parameters == 615_996_417
    assert [row.key for row in official.projections] == ["image_projection", "lang_projection", "logit_scale"]


def test_official_flops(official: ModelTable) -> None:
    # 625 as the reference computes it (spec, section 9). Its 584 keeps attention over padding; this code has neither.
    assert 2 * official.image.padded_macs / 1e9 == pytest.approx(625, abs=0.5)
    assert official.image.total.flops / 1e9 == pytest.approx(580.26, abs=0.01)
    assert [stage.padding_macs > 0 for stage in official.image.stages] == [False, False, True, True]


def test_every_official_key_and_shape() -> None:
    rows = weight_table(on_meta(PRESETS["medimageinsight"]))
    assert {row.key: row.shape for row in rows} == Golden("official-size").keys
    assert len(rows) == 601
    assert sum(row.parameters for row in rows) == 615_996_417
    assert {row.dtype for row in rows} == {"float32"}


def test_preset_is_the_official_configuration(official: ModelTable) -> None:
    config = preset("medimageinsight")
    assert isinstance(config, DualConfig)
    assert read_config(Golden("official-size").config).dual == config


@pytest.mark.parametrize("name", ["tiny", "small", "base", "large", "huge", "giant"])
def test_published_parameters(name: str) -> None:
    parameters = sum(p.numel() for p in on_meta(PRESETS[f"davit-{name}"]).parameters())
    assert parameters == TIMM[f"davit_{name}"]["params"]


def test_comparison_reproduces_the_paper() -> None:
    config = PRESETS["davit-tiny"]
    assert isinstance(config, DaViTConfig)
    tiny, small, base = compare("davit-tiny", config, (224, 224))
    for row in (tiny, small, base):
        assert row.macs_224 is not None
        assert row.macs_224 / 1e9 == pytest.approx(PAPER_GMAC[row.name], abs=0.05)
        assert row.macs_here == row.macs_224
    assert (tiny.blocks, small.blocks) == ((1, 1, 3, 1), (1, 1, 9, 1))
    assert base.channels == (128, 256, 512, 1024)


def test_comparison_of_a_model_with_one_size() -> None:
    dual = read_config(Golden("coswin").config).dual
    own, *peers = compare("mine", dual.image, dual.image_size)
    assert (own.name, own.macs_224) == ("mine", None)
    assert own.macs_here is not None
    assert len(peers) == 3


@pytest.mark.parametrize("name", ["davit", "davit-wide", "coswin", "coswin-ape-layerscale"])
def test_grids_are_those_that_the_model_makes(name: str) -> None:
    import torch

    dual = read_config(Golden(name).config).dual
    table = image_table(dual.image, dual.image_size)
    encoder: Any = on_meta(dual.image)
    stages = encoder.stages(torch.empty(1, 3, *dual.image_size, device="meta"))
    assert [stage.grid for stage in stages] == list(_column(table, "grid"))


def test_even_kernels_pad_a_ragged_edge() -> None:
    config = PRESETS["davit-tiny"]
    assert isinstance(config, DaViTConfig)
    assert _column(image_table(config, (100, 60)), "grid") == ((25, 15), (13, 8), (7, 4), (4, 2))
