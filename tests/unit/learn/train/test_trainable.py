"""What is trained, what stays, and that merged low-rank additions are the same model with its own keys."""

from __future__ import annotations

import pytest
import torch

from dualsight.errors import ConfigError
from dualsight.learn.train.config import Lora
from dualsight.learn.train.trainable import choose, merge
from dualsight.model.dual import DualEncoder
from tiny_models import TINY


def trained(model: DualEncoder) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_a_part_is_frozen() -> None:
    model = DualEncoder(TINY)
    every = trained(model)
    choose(model, freeze=("lang_encoder.*", "logit_scale"))
    assert trained(model) == {name for name in every if not name.startswith("lang_encoder") and name != "logit_scale"}


def test_lora_trains_its_own_matrices_and_merges_into_the_model() -> None:
    torch.manual_seed(0)
    model = DualEncoder(TINY)
    keys, pixels = set(model.state_dict()), torch.randn(2, 3, 16, 16)
    ids = torch.tensor([[1, 2, 15], [1, 3, 15]])
    before = model(pixels, ids, torch.ones_like(ids)).detach()
    choose(model, freeze=("lang_encoder.*",), lora=Lora(rank=2))
    names = trained(model)
    assert names
    assert all(name.startswith("image_encoder.") and ".lora_" in name for name in names)
    torch.testing.assert_close(model(pixels, ids, torch.ones_like(ids)), before)  # it begins with nothing added
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    apart = model(pixels, ids, torch.ones_like(ids)).detach()
    assert (apart - before).abs().max() > 1e-3
    merge(model)
    assert set(model.state_dict()) == keys
    torch.testing.assert_close(model(pixels, ids, torch.ones_like(ids)), apart, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("freeze", "lora", "named"),
    [
        (("image_encodr.*",), None, "'image_encodr.*' names no parameter"),
        (("*",), None, "nothing is left to train"),
        (("*",), Lora(), "every layer that it names is frozen"),
        ((), Lora(layers=("qvk",)), "no linear layer is called 'qvk'"),
    ],
)
def test_what_names_nothing_is_refused(freeze: tuple[str, ...], lora: Lora | None, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(DualEncoder(TINY), freeze=freeze, lora=lora)
    assert named in str(caught.value)
