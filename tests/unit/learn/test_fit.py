"""The loop learns, averages, and leaves a model in evaluation mode; the demo's pieces fit together."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from dualsight.checkpoint.config import parse_config
from dualsight.learn import demo
from dualsight.learn.fit import Batch, FitConfig, batch_loss, fit, learning_rate, optimizers
from dualsight.learn.loss import class_loss, unicl_loss
from dualsight.learn.phantom.catalogue import HELD_OUT, MODALITIES, draw, draw_many
from dualsight.model.config import DaViTConfig, DualConfig, TextConfig
from dualsight.model.dual import DualEncoder

TINY = DualConfig(
    image=DaViTConfig(widths=(8,), depths=(1,), heads=(2,), groups=(2,), patch_size=(4,), patch_stride=(4,),
                      patch_padding=(0,), patch_prenorm=(False,), window=4),
    text=TextConfig(width=8, heads=2, layers=1, vocabulary=16, context_length=4, autoregressive=False),
    projection=8,
    image_size=(16, 16),
)  # fmt: skip


def same_batch() -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(6, 3, 16, 16, generator=generator)
    ids = torch.tensor([[1, i + 2, 15] for i in range(6)])
    while True:
        yield Batch(pixels, ids, torch.ones_like(ids), torch.arange(6), torch.arange(6))


def test_the_loss_falls_and_the_model_ends_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    model = DualEncoder(TINY)
    steps = list(fit(model, same_batch(), FitConfig(steps=60, learning_rate=5e-3, warmup_steps=5, ema_decay=0.5)))
    assert len(steps) == 60
    assert steps[-1].loss < 0.5 * steps[0].loss
    assert not model.training
    batch = next(same_batch())
    matched = model(batch.pixels, batch.input_ids, batch.attention_mask).argmax(1)
    assert (matched == batch.labels).float().mean() >= 5 / 6


def test_the_same_seed_gives_the_same_weights() -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        model = DualEncoder(TINY)
        for _ in fit(model, same_batch(), FitConfig(steps=3)):
            pass
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(weights[0], weights[1])


def test_warm_up_then_a_half_cosine() -> None:
    config = FitConfig(steps=110, learning_rate=2.0, warmup_steps=10)
    assert learning_rate(0, config) == pytest.approx(0.2)
    assert learning_rate(9, config) == pytest.approx(2.0)
    assert learning_rate(60, config) == pytest.approx(1.0)
    assert learning_rate(110, config) == pytest.approx(0.0)


def test_each_parameter_has_one_optimizer_and_only_matrices_decay() -> None:
    model = DualEncoder(TINY)
    muon, adamw = optimizers(model, FitConfig(steps=1, weight_decay=0.05))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    hidden, decayed, free = (
        {names[id(p)] for p in group["params"]} for group in (*muon.param_groups, *adamw.param_groups)
    )
    assert len(hidden) + len(decayed) + len(free) == len(names)
    assert hidden | decayed | free == set(names.values())
    assert {"logit_scale", "lang_encoder.token_embedding.weight", "lang_encoder.positional_embedding"} <= free
    assert all(name in free for name in names.values() if name.endswith("bias") or ".dw." in name)
    assert decayed == {"image_projection", "lang_projection", "image_encoder.convs.0.proj.weight"}
    assert all("encoder." in name for name in hidden)
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.05, 0.0]


def test_the_prompts_of_all_classes_teach_too() -> None:
    torch.manual_seed(0)
    model = DualEncoder(TINY)
    pairs = next(same_batch())
    ids = torch.cat([pairs.input_ids, pairs.input_ids])
    both = Batch(pairs.pixels, ids, torch.ones_like(ids), pairs.labels, torch.tensor([5, 4, 3, 2, 1, 0]))
    images, texts = model.encode_image(both.pixels), model.encode_text(ids, both.attention_mask)
    expected = unicl_loss(images, texts[:6], both.labels, model.logit_scale)
    expected = expected + class_loss(images, texts[6:], both.classes, model.logit_scale)
    assert batch_loss(model, both, bfloat16=False).item() == pytest.approx(expected.item(), abs=1e-5)
    assert batch_loss(model, both, bfloat16=True).item() == pytest.approx(expected.item(), abs=0.1)


def test_the_logit_scale_may_not_run_away() -> None:
    model = DualEncoder(TINY)
    with torch.no_grad():
        model.logit_scale.fill_(50.0)
    (step,) = fit(model, same_batch(), FitConfig(steps=1))
    assert step.logit_scale <= math.log(100) + 1e-6


def test_phantoms_are_their_numbers() -> None:
    for modality in MODALITIES:
        first = draw(modality, modality.views[0], modality.findings[0], patient=HELD_OUT, size=64)
        again = draw(modality, modality.views[0], modality.findings[0], patient=HELD_OUT, size=64)
        assert np.array_equal(first.pixels, again.pixels)
        assert first.pixels.shape == (64, 64, 3)
        assert first.box is not None
        left, top, right, bottom = first.box
        assert first.mask[top:bottom, left:right].sum() == first.mask.sum()
    drawn = list(draw_many(5, 20, size=64))
    assert [p.modality for p in drawn[:10]] == list(MODALITIES)
    assert {p.finding is None for p in drawn} == {True, False}


def test_the_demo_batches_hold_pictures_with_their_captions() -> None:
    config = parse_config(demo.CONFIG)
    images = np.zeros((demo.BATCH, 112, 112, 3), np.uint8)
    images[0] = 255
    captions = [["white"] * demo.CAPTIONS_EACH] + [["black"] * demo.CAPTIONS_EACH] * (demo.BATCH - 1)
    classes = np.arange(demo.BATCH) % 7
    batch = next(demo.batches(demo.Drawn(images, captions, classes), config, np.random.default_rng(0)))
    assert len(batch.input_ids) == demo.BATCH + len(demo.CLASSES)
    assert sorted(batch.classes.tolist()) == sorted(classes.tolist())
    white = batch.pixels.mean((1, 2, 3)) > 0
    assert int(white.sum()) == 1
    assert len(set(batch.labels[~white].tolist())) == 1
    assert batch.labels[white].item() != batch.labels[~white][0].item()
    top = (1 - np.array(config.preprocessing.mean)) / np.array(config.preprocessing.std)
    np.testing.assert_allclose(batch.pixels[white][0].mean((1, 2)), top, rtol=1e-5)


def test_a_drawn_chunk_knows_its_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "CHUNK", 12)
    drawn = demo.draw_chunk((0, 1))
    assert drawn.images.shape == (12, 112, 112, 3)
    for phantom, number in zip(draw_many(0, 12, size=16), drawn.classes, strict=True):
        assert demo.CLASSES[number] == (phantom.modality, phantom.finding)
