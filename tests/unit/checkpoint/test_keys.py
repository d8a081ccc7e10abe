from __future__ import annotations

import logging

import pytest
import torch

from dualsight.checkpoint.keys import RENAMES, fit, rename_all, renamed
from dualsight.errors import CheckpointError, MissingTensor, ShapeMismatch, UnexpectedTensor
from golden import SMALL, Golden

PAIRS = [
    ("visual.norms.weight", "image_encoder.norms.weight"),
    ("text.ln_final.weight", "lang_encoder.ln_final.weight"),
    ("vision_projection", "image_projection"),
    ("text_projection", "lang_projection"),
    # timm, ImageNet
    ("stem.conv.weight", "convs.0.proj.weight"),
    ("stem.norm.bias", "convs.0.norm.bias"),
    ("stages.2.downsample.conv.bias", "convs.2.proj.bias"),
    ("stages.2.downsample.norm.weight", "convs.2.norm.weight"),
    ("stages.2.blocks.1.0.cpe1.proj.weight", "blocks.2.1.spatial_block.conv1.fn.dw.weight"),
    ("stages.2.blocks.1.0.norm1.weight", "blocks.2.1.spatial_block.window_attn.norm.weight"),
    ("stages.2.blocks.1.0.attn.qkv.weight", "blocks.2.1.spatial_block.window_attn.fn.qkv.weight"),
    ("stages.2.blocks.1.1.attn.qkv.bias", "blocks.2.1.channel_block.channel_attn.fn.qkv.bias"),
    ("stages.2.blocks.1.1.mlp.fc1.weight", "blocks.2.1.channel_block.ffn.fn.net.fc1.weight"),
    ("head.norm.weight", "norms.weight"),
    ("head.fc.weight", "head.weight"),
    # timm, Florence
    ("stages.0.blocks.0.channel_block.attn.qkv.bias", "blocks.0.0.channel_block.channel_attn.fn.qkv.bias"),
    ("stages.0.blocks.0.spatial_block.cpe2.proj.bias", "blocks.0.0.spatial_block.conv2.fn.dw.bias"),
    # as DaViT and Florence first had it, alone and within a dual encoder
    ("conv_embeds.3.proj.weight", "convs.3.proj.weight"),
    ("visual.main_blocks.2.8.0.cpe.0.proj.weight", "image_encoder.blocks.2.8.spatial_block.conv1.fn.dw.weight"),
    ("main_blocks.2.8.0.cpe.1.proj.bias", "blocks.2.8.spatial_block.conv2.fn.dw.bias"),
    ("main_blocks.2.8.0.attn.proj.bias", "blocks.2.8.spatial_block.window_attn.fn.proj.bias"),
    ("main_blocks.2.8.1.attn.qkv.bias", "blocks.2.8.channel_block.channel_attn.fn.qkv.bias"),
    ("main_blocks.2.8.1.norm1.bias", "blocks.2.8.channel_block.channel_attn.norm.bias"),
    ("main_blocks.2.8.1.norm2.bias", "blocks.2.8.channel_block.ffn.norm.bias"),
    ("main_blocks.2.8.1.mlp.fc2.bias", "blocks.2.8.channel_block.ffn.fn.net.fc2.bias"),
]


@pytest.mark.parametrize(("key", "name"), PAIRS)
def test_renames(key: str, name: str) -> None:
    assert renamed(key)[0] == name


def test_each_repair_is_used_by_a_test() -> None:
    used = {repair.name for key, _ in PAIRS for repair in renamed(key)[1]}
    assert used == {repair.name for repair in RENAMES}


@pytest.mark.parametrize("name", [*SMALL, "official-size"])
def test_the_models_own_keys_stay_as_they_are(name: str) -> None:
    assert {key: renamed(key) for key in Golden(name).keys} == {key: (key, []) for key in Golden(name).keys}


def test_only_timms_first_channel_attention_has_its_rows_moved() -> None:
    q, k, v = (torch.full((2, 4), float(i)) for i in range(3))
    stored = torch.cat([q, k, v])
    moved = rename_all({"stages.0.blocks.0.1.attn.qkv.weight": stored}, file="f")
    assert torch.equal(*moved.values(), torch.cat([k, v, q]))
    for other in ("stages.0.blocks.0.channel_block.attn.qkv.weight", "stages.0.blocks.0.0.attn.qkv.weight"):
        (kept,) = rename_all({other: stored}, file="f").values()
        assert kept is stored


def test_buffers_that_follow_from_the_configuration_are_left_out() -> None:
    stored = {
        "image_encoder.layers.0.blocks.1.attn_mask": torch.ones(1),
        "image_encoder.layers.0.blocks.1.attn.relative_position_index": torch.ones(1),
        "image_encoder.head.weight": torch.ones(0, 8),
        "logit_scale": torch.tensor(1.0),
    }
    assert list(rename_all(stored, file="f")) == ["logit_scale"]


def test_two_keys_of_one_name() -> None:
    tensor = torch.ones(1)
    with pytest.raises(CheckpointError, match="f: both text_projection and lang_projection are lang_projection"):
        rename_all({"text_projection": tensor, "lang_projection": tensor}, file="f")


def test_renaming_is_logged_by_repair(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        rename_all({"visual.norms.weight": torch.ones(1), "visual.norms.bias": torch.ones(1)}, file="f.pt")
    assert caplog.messages == ["f.pt: another key layout, renamed: visual tower"]


def _tensors(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {key: torch.zeros(shape) for key, shape in shapes.items()}


def test_fit_passes_tensors_on_in_the_models_order() -> None:
    stored = _tensors(b=(2,), a=(1,))
    fitted = fit(stored, _tensors(a=(1,), b=(2,)), file="f")
    assert list(fitted) == ["a", "b"]
    assert all(fitted[key] is stored[key] for key in stored)


def test_missing_tensors_are_named_and_counted() -> None:
    wanted = _tensors(a=(1,), b=(1,), c=(1,), d=(1,), e=(1,))
    with pytest.raises(MissingTensor, match=r"w\.pt: 4 of 5 tensors are missing: a, b, c and 1 more \(1 others.*: x\)"):
        fit(_tensors(e=(1,), x=(1,)), wanted, file="w.pt")


def test_unexpected_tensors_are_named() -> None:
    with pytest.raises(UnexpectedTensor, match=r"w\.pt: 1 tensors that the model does not have: x"):
        fit(_tensors(a=(1,), x=(1,)), _tensors(a=(1,)), file="w.pt")


def test_another_shape_is_named_with_both_shapes() -> None:
    with pytest.raises(ShapeMismatch, match=r"w\.pt: 1 tensors of another shape: a is \[2, 3\], not \[3, 2\]"):
        fit(_tensors(a=(2, 3)), _tensors(a=(3, 2)), file="w.pt")


def test_text_positions_are_resized_linearly_and_said(caplog: pytest.LogCaptureFixture) -> None:
    key = "lang_encoder.positional_embedding"
    stored = torch.arange(8.0)[:, None] * torch.tensor([1.0, -2.0])  # [8, 2], linear along the length
    fitted = fit({key: stored}, {key: torch.empty(4, 2)}, file="w.pt")[key]
    middles = torch.tensor([0.5, 2.5, 4.5, 6.5])[:, None]
    torch.testing.assert_close(fitted, middles * torch.tensor([1.0, -2.0]))
    assert f"w.pt: {key} resized from [8, 2] to [4, 2], linear along the length" in caplog.text


def test_a_bias_table_is_resized_bicubically() -> None:
    key = "image_encoder.layers.0.blocks.0.attn.relative_position_bias_table"
    plane = torch.linspace(0, 1, 7)[:, None] + torch.linspace(0, 10, 7)  # [7, 7], window 4
    stored = torch.stack([plane.flatten(), torch.ones(49)], 1)  # [49, 2]
    fitted = fit({key: stored}, {key: torch.empty(169, 2)}, file="f")[key]  # window 7
    assert fitted.shape == (169, 2)
    torch.testing.assert_close(fitted[:, 1], torch.ones(169))
    square = fitted[:, 0].unflatten(0, (13, 13))
    torch.testing.assert_close(square[6, 6], plane[3, 3])
    assert (square.diff(dim=1)[:, 2:-2] > 0.5).all()  # columns rise, about 10 in all
    assert (square.diff(dim=0)[2:-2] < 0.2).all()  # rows rise, about 1 in all


def test_absolute_positions_are_resized_to_the_models_grid() -> None:
    key = "image_encoder.absolute_pos_embed"
    stored = (torch.arange(4.0)[:, None] + torch.zeros(4, 4)).flatten()[None, :, None]  # [1, 16, 1]: the row's number
    wanted = {key: torch.empty(1, 4 * 16, 1)}
    fitted = fit({key: stored}, wanted, file="f", grid=(4, 16))[key].unflatten(1, (4, 16))
    torch.testing.assert_close(fitted[0, :, :, 0], torch.arange(4.0)[:, None].expand(4, 16))


@pytest.mark.parametrize(
    ("key", "stored", "wanted"),
    [
        ("lang_encoder.positional_embedding", (8, 3), (4, 2)),
        ("image_encoder.layers.0.blocks.0.attn.relative_position_bias_table", (49, 3), (169, 2)),
        ("image_encoder.layers.0.blocks.0.attn.relative_position_bias_table", (48, 2), (169, 2)),
        ("image_encoder.absolute_pos_embed", (1, 15, 2), (1, 64, 2)),
        ("image_encoder.norms.weight", (8,), (4,)),
    ],
)
def test_no_other_resize(key: str, stored: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    with pytest.raises(ShapeMismatch, match=key):
        fit({key: torch.zeros(stored)}, {key: torch.empty(wanted)}, file="f")
