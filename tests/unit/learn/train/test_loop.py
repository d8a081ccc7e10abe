"""The loop learns, averages, leaves a model in evaluation mode, and moves each parameter by its own rule."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from dualsight.errors import TrainingError
from dualsight.learn.loss import class_loss, unicl_loss
from dualsight.learn.train.loop import Batch, Trainer, fit, pair_loss
from dualsight.learn.train.optimizer import learning_rate, optimizers
from dualsight.learn.train.recipe import Recipe
from dualsight.learn.train.trainable import save_activations
from dualsight.model.dual import DualEncoder
from tiny_models import TINY

MUON = Recipe(optimizer="muon", learning_rate=1e-3, final_learning_rate=0.0, warmup_steps=2, weight_decay=0.05)


def same_batch() -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(6, 3, 16, 16, generator=generator)
    ids = torch.tensor([[1, i + 2, 15] for i in range(6)])
    while True:
        yield Batch(pixels, ids, torch.ones_like(ids), torch.arange(6), torch.arange(6))


def test_the_loss_falls_and_the_model_ends_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    model = DualEncoder(TINY)
    steps = list(fit(model, same_batch(), replace(MUON, learning_rate=5e-3, warmup_steps=5, ema_decay=0.5), 60))
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
        for _ in fit(model, same_batch(), MUON, 3):
            pass
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(weights[0], weights[1])


def test_warm_up_then_a_half_cosine() -> None:
    recipe = Recipe(learning_rate=2.0, final_learning_rate=0.0, warmup_steps=10)
    assert learning_rate(0, recipe, 110) == pytest.approx(0.2)
    assert learning_rate(9, recipe, 110) == pytest.approx(2.0)
    assert learning_rate(60, recipe, 110) == pytest.approx(1.0)
    assert learning_rate(110, recipe, 110) == pytest.approx(0.0)
    official = Recipe()
    assert learning_rate(4, official, 1000) == pytest.approx(1e-5)
    assert learning_rate(1000, official, 1000) == pytest.approx(1e-9)


def test_each_parameter_has_one_optimizer_and_only_matrices_decay() -> None:
    model = DualEncoder(TINY)
    muon, adamw = optimizers(dict(model.named_parameters()), MUON)
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
    assert pair_loss(images, texts, model.logit_scale, both).item() == pytest.approx(expected.item(), abs=1e-5)
    for precision, far in (("float32", 1e-5), ("bfloat16", 0.1)):
        trainer = Trainer(copy.deepcopy(model), replace(MUON, precision=precision), 1)
        assert trainer.step(both).loss == pytest.approx(expected.item(), abs=far)


def test_the_logit_scale_may_not_run_away() -> None:
    model = DualEncoder(TINY)
    with torch.no_grad():
        model.logit_scale.fill_(6.0)
    (step,) = fit(model, same_batch(), MUON, 1)
    assert step.logit_scale <= math.log(100) + 1e-6


def gradients(model: DualEncoder, recipe: Recipe) -> dict[str, torch.Tensor]:
    """Of one step, before they are clipped."""
    trainer = Trainer(copy.deepcopy(model), replace(recipe, clip_norm=1e9), 1)
    trainer.step(next(same_batch()))
    return {name: p.grad for name, p in trainer.parameters.items() if p.grad is not None}


@pytest.mark.parametrize("micro", [1, 2, 4, 5])
def test_micro_batches_have_the_gradient_of_the_whole_batch(micro: int) -> None:
    torch.manual_seed(1)
    model = DualEncoder(TINY)
    whole, parts = gradients(model, Recipe()), gradients(model, Recipe(micro_batch=micro))
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, atol=1e-5, rtol=1e-3, msg=name)


def test_activations_computed_again_have_the_same_gradient() -> None:
    torch.manual_seed(1)
    model = DualEncoder(TINY)
    kept = gradients(model, Recipe())
    trainer = Trainer(model, Recipe(clip_norm=1e9), 1)
    calls = []
    block = model.image_encoder.blocks[0][0]
    block.register_forward_hook(lambda *_: calls.append(1))
    block.spatial_block.register_forward_hook(lambda *_: calls.append(2))
    save_activations(model)
    trainer.step(next(same_batch()))
    assert calls == [2, 1, 2]  # forward once, its inside again for the gradient
    for name, gradient in kept.items():
        torch.testing.assert_close(trainer.parameters[name].grad, gradient, atol=0, rtol=0, msg=name)


def test_stochastic_depth_is_drawn_by_the_step_alone() -> None:
    deep = replace(TINY, image=replace(TINY.image, depths=(3,), drop_path_rate=0.6))
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(7)
        trainer = Trainer(DualEncoder(deep), Recipe(micro_batch=2), 4, seed=seed)
        torch.manual_seed(len(losses))  # what others draw does not matter
        losses.append([trainer.step(next(same_batch())).loss for _ in range(3)])
    assert losses[0] == losses[1] != losses[2]


def test_the_running_mean_is_lent_and_given_back() -> None:
    trainer = Trainer(DualEncoder(TINY), replace(MUON, learning_rate=0.1), 9)
    for _ in range(3):
        trainer.step(next(same_batch()))
    weights = {name: p.detach().clone() for name, p in trainer.parameters.items()}
    means = {name: mean.clone() for name, mean in trainer.average.items()}
    with trainer.averaged():
        assert not trainer.model.training
        assert all(torch.equal(p, means[name]) for name, p in trainer.parameters.items())
    assert trainer.model.training
    assert all(torch.equal(p, weights[name]) for name, p in trainer.parameters.items())
    assert any(not torch.equal(weights[name], means[name]) for name in means)


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    model = DualEncoder(TINY)
    with torch.no_grad():
        model.image_projection.fill_(float("nan"))
    with pytest.raises(TrainingError, match="step 1: the loss is nan") as caught:
        Trainer(model, Recipe(), 1).step(next(same_batch()))
    assert "learning_rate" in caught.value.hint


def test_a_gradient_that_is_no_number_stops_the_run_before_it_moves_a_weight() -> None:
    def loss(images: torch.Tensor, *others: object) -> torch.Tensor:
        return (images.sum() * 0).sqrt()  # 0, and its gradient 0 · ∞

    trainer = Trainer(DualEncoder(TINY), Recipe(), 1, loss=loss)
    before = {name: p.detach().clone() for name, p in trainer.parameters.items()}
    with pytest.raises(TrainingError, match="step 1: the gradient's norm is nan"):
        trainer.step(next(same_batch()))
    for name, parameter in trainer.parameters.items():
        assert torch.equal(parameter, before[name]), name
        assert torch.equal(trainer.average[name], before[name]), name
