"""The whole, on vectors that lie near their labels' words: what is found is known beforehand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dualsight.errors import AdapterError, ConfigError, DualsightError, ManifestError, TextError, UnreadableImage
from dualsight.learn.adapt import LinearProbe
from dualsight.learn.adapt.adapter import Adapter
from dualsight.learn.embedded import EmbeddedManifest
from dualsight.learn.evaluate.evaluation import evaluate
from dualsight.learn.evaluate.report import Evaluation, Plan
from dualsight.learn.manifest import Example, Manifest
from dualsight.task.classify import probabilities
from dualsight.task.model import Model

LABELS = ("atelectasis", "pneumonia", "pneumothorax")


def table(splits: Sequence[str | None], n: int = 60) -> Manifest:
    """n pictures of n / 2 patients a split; the labels take turns."""
    examples = tuple(
        Example(
            row=2 + n * s + i,
            path=Path(f"{split}{i}.png"),
            labels=(LABELS[i % 3],),
            patient=f"{split}{i // 2}",
            split=split,
            columns={"sex": "FM"[i % 2], "caption": LABELS[i % 3]},
        )
        for s, split in enumerate(splits)
        for i in range(n)
    )
    return Manifest(path=Path("t.csv"), examples=examples, labels=LABELS, is_multilabel=False)


def near(model: Model, noise: float = 0.05, seed: int = 0):
    """What embeds a table: the words of a picture's label, and noise."""
    words = model.encode_text(LABELS)

    def embed(manifest: Manifest) -> EmbeddedManifest:
        rng = np.random.default_rng([seed, len(manifest.examples), manifest.examples[0].row])
        middles = np.stack([words[[LABELS.index(label) for label in e.labels]].sum(0) for e in manifest.examples])
        vectors = middles + noise * rng.normal(size=middles.shape)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return EmbeddedManifest(manifest=manifest, vectors=unit.astype(np.float32))

    return embed


def run(model: Model, manifest: Manifest, plan: Plan, **options) -> Evaluation:
    found = evaluate(model, manifest, plan, **{"embed": near(model), "date": "today"} | options)
    assert json.loads(found.to_json())["n"] == found.n  # and no NaN in it
    return found


def probe(model: Model, labels: tuple[str, ...] = LABELS, fingerprint: str | None = None) -> tuple[str, Adapter]:
    embedded = near(model)(table(["train"]))
    head = LinearProbe().fit(embedded.vectors, embedded.truth().argmax(1))
    adapter = Adapter(
        kind="linear",
        head=head,
        labels=labels,
        model="demo",
        fingerprint=fingerprint or model.fingerprint,
        thresholds={},
    )
    return "probe", adapter


def test_three_methods_on_the_split_test_alone(model: Model) -> None:
    plan = Plan(methods=("zero-shot", "knn", "adapter"), subgroups=("sex",), caption_column="caption")
    found = run(model, table(["train", "val", "test"]), plan, adapter=probe(model))
    assert (found.split, found.chosen_on, found.caution) == ("test", "val", "")
    assert (found.n, found.patients, found.failed) == (60, 30, 0)
    assert [method.method for method in found.methods] == ["zero-shot", "knn", "adapter"]
    for method in found.methods:
        assert method.mean_auc.value > 0.95
        assert method.top.accuracy > 0.9
        assert [group.value for group in method.groups] == ["F", "M"]
        assert None not in (method.calibration.by_temperature, method.calibration.by_platt)
    assert found.retrieval.text_to_image[-1] == 1
    assert found.retrieval.n_texts == 3


def test_a_probability_is_the_one_that_classify_gives(model: Model) -> None:
    manifest = table([None])
    found = run(model, manifest, Plan(templates=("{label}",)))
    vectors = near(model)(manifest).vectors
    words = model.encode_text(LABELS)
    scores = [probabilities(vector, words, model.logit_scale, multilabel=False) for vector in vectors]
    highest = max(score[1] for score in scores)
    threshold = found.thresholds.by_label[LABELS[1]].youden
    assert min(abs(score[1] - threshold) for score in scores) < 1e-9
    assert threshold <= highest


def test_without_splits_all_is_measured_and_the_flattery_is_said(model: Model) -> None:
    found = run(model, table([None]), Plan())
    assert (found.split, found.chosen_on, found.n) == ("all", "all", 60)
    assert "flatters" in found.caution
    assert found.methods[0].calibration.by_platt is None
    assert found.methods[0].calibration.reason
    assert found.retrieval is None
    with pytest.raises(ManifestError, match="train"):
        run(model, table([None]), Plan(methods=("knn",)))


def test_shuffled_labels_give_half(model: Model) -> None:
    """The check that an evaluation can fail: each picture keeps its vector and gets another's label."""
    manifest = table(["train", "test"], n=1500)
    embed, rng = near(model), np.random.default_rng(3)

    def shuffled(part: Manifest) -> EmbeddedManifest:
        order = rng.permutation(len(part.examples))
        examples = tuple(
            replace(example, labels=part.examples[other].labels)
            for example, other in zip(part.examples, order, strict=True)
        )
        return replace(embed(part), manifest=replace(part, examples=examples))

    plan = Plan(methods=("zero-shot", "knn"))
    for honest, wrong in zip(
        run(model, manifest, plan).methods, run(model, manifest, plan, embed=shuffled).methods, strict=True
    ):
        assert honest.mean_auc.value > 0.95
        assert abs(wrong.mean_auc.value - 0.5) < 0.03


def test_several_labels_a_picture(model: Model) -> None:
    manifest = table(["train", "val", "test"])
    rows = ((), (LABELS[0],), (LABELS[1], LABELS[2]), (LABELS[1],), (LABELS[2],))
    examples = tuple(replace(e, labels=rows[i % 5]) for i, e in enumerate(manifest.examples))
    manifest = replace(manifest, examples=examples, is_multilabel=True)
    found = run(model, manifest, Plan(methods=("zero-shot", "knn")))
    assert found.is_multilabel
    assert found.thresholds.multilabel
    for method in found.methods:
        assert method.top is None
        assert method.mean_auc.value > 0.8


def test_an_adapter_must_fit_the_model_and_the_labels(model: Model) -> None:
    manifest, plan = table(["train", "test"]), Plan(methods=("adapter",))
    with pytest.raises(ConfigError, match="needs an adapter"):
        run(model, manifest, plan)
    with pytest.raises(AdapterError, match="made for the model"):
        run(model, manifest, plan, adapter=probe(model, fingerprint="0" * 64))
    with pytest.raises(AdapterError, match="cyst"):
        run(model, manifest, plan, adapter=probe(model, labels=("cyst", *LABELS[1:])))
    assert run(model, manifest, plan, adapter=probe(model)).thresholds is None
    honest = run(model, manifest, plan, adapter=probe(model)).methods[0]
    assert honest.top.accuracy > 0.9
    name, adapter = probe(model)
    turned = replace(adapter, labels=(LABELS[1], LABELS[0], LABELS[2]))
    assert run(model, manifest, plan, adapter=(name, turned)).methods[0].top.accuracy < 0.5


@pytest.mark.parametrize("wrong", [{"methods": ()}, {"methods": ("knn", "knn")}, {"specificity": 1.0}])
def test_a_plan_that_cannot_be_meant(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Plan(**wrong)


def test_captions_are_checked_first(model: Model) -> None:
    manifest = table([None], n=4)
    first, *others = manifest.examples
    gap = replace(manifest, examples=(replace(first, columns={"caption": ""}), *others))
    with pytest.raises(ManifestError) as caught:
        run(model, gap, Plan(caption_column="caption"))
    assert caught.value.problems == ("row 2: no caption in column `caption`",)
    with pytest.raises(ManifestError, match="no column `words` of captions"):
        run(model, manifest, Plan(caption_column="words"))


@pytest.mark.parametrize(
    ("splits", "plan", "error"),
    [
        (["train", "test"], Plan(methods=("knn", "adapter")), AdapterError),
        (["train", "test"], Plan(methods=("knn", "zero-shot"), templates=("ct",)), TextError),
        (["test"], Plan(methods=("zero-shot", "knn")), ManifestError),
    ],
)
def test_what_cannot_be_compared_is_refused_before_an_hour_of_embedding(
    model: Model, splits: list[str], plan: Plan, error: type[DualsightError]
) -> None:
    def never(manifest: Manifest) -> EmbeddedManifest:
        raise AssertionError("embedded")

    with pytest.raises(error):
        run(model, table(splits), plan, embed=never, adapter=probe(model, fingerprint="0" * 64))


def test_pictures_that_fail_are_counted_in_both_splits(model: Model) -> None:
    embed = near(model)

    def failing(manifest: Manifest) -> EmbeddedManifest:
        return replace(embed(manifest), failed=(UnreadableImage("broken"),))

    assert run(model, table(["val", "test"]), Plan(), embed=failing).failed == 2
    assert run(model, table(["test"]), Plan(), embed=failing).failed == 1


def test_one_training_picture_of_several_labels_has_no_neighbours(model: Model) -> None:
    manifest = replace(table(["train", "test"]), is_multilabel=True)
    embed = near(model)

    def one(part: Manifest) -> EmbeddedManifest:
        kept = part.examples[:1] if part.examples[0].split == "train" else part.examples
        return embed(replace(part, examples=kept))

    with pytest.raises(ManifestError, match="two training pictures"):
        run(model, manifest, Plan(methods=("knn",)), embed=one)
