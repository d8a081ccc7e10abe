"""From embedded examples to an adapter: who is learnt from, who is measured on, and what the figures are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import dualsight
from dualsight.errors import AdapterError, ConfigError, ManifestError, UnsupportedImage
from dualsight.learn.adapt import train_adapter
from dualsight.learn.adapt.adapter import HEADS, Kind
from dualsight.learn.adapt.train import measure
from dualsight.learn.embedded import EmbeddedManifest
from dualsight.learn.manifest import Example, Manifest
from dualsight.task.model import Model

LABELS = ("effusion", "no finding", "oedema")


@pytest.fixture(scope="module")
def model(recipe_folder: Callable[[str], Path]) -> Model:
    return dualsight.load(recipe_folder("davit"))


def examples(
    model: Model, n: int = 90, *, splits: tuple[str | None, ...] = (None,), several: bool = False, signal: float = 1.0
) -> EmbeddedManifest:
    """n examples of n // 3 patients, whose vectors say their labels as loudly as `signal`."""
    rng = np.random.default_rng(1)
    rows, vectors = [], []
    for i in range(n):
        own = {i % 3, (i // 3) % 3} if several else {i % 3}
        vector = rng.standard_normal(model.config.dual.projection)
        vector[list(own)] += 5 * signal
        vectors.append(vector / np.linalg.norm(vector))
        patient = i // 3
        rows.append(
            Example(
                row=i + 2,
                path=Path(f"{i}.png"),
                labels=tuple(LABELS[label] for label in sorted(own)),
                patient=f"P{patient}",
                split=splits[patient % len(splits)],
                columns={},
            )
        )
    manifest = Manifest(path=Path("m.csv"), examples=tuple(rows), labels=LABELS, is_multilabel=several)
    return EmbeddedManifest(manifest=manifest, vectors=np.array(vectors, np.float32))


@pytest.mark.parametrize("kind", HEADS)
def test_every_kind_learns_and_the_same_twice(model: Model, kind: Kind) -> None:
    embedded = examples(model)
    trained, again = (train_adapter(model, embedded, kind, seed=3) for _ in range(2))
    held = trained.held_out
    assert (trained.n_train, held.n, held.patients) == (72, 18, 6)
    assert held.accuracy is not None and held.mean_auc is not None
    assert held.accuracy.value > 0.8
    assert 0.9 < held.mean_auc.low <= held.mean_auc.value <= held.mean_auc.high
    assert trained.adapter.fingerprint == model.fingerprint
    assert trained.adapter.thresholds.keys() == set(LABELS)
    np.testing.assert_array_equal(
        trained.adapter.predict_proba(embedded.vectors), again.adapter.predict_proba(embedded.vectors)
    )


@pytest.mark.parametrize("kind", ["linear", "knn", "mlp"])
def test_several_labels(model: Model, kind: Kind) -> None:
    trained = train_adapter(model, examples(model, several=True), kind)
    assert trained.adapter.is_multilabel
    assert trained.held_out.accuracy is None
    assert trained.held_out.mean_auc is not None
    assert trained.held_out.mean_auc.value > 0.9


def test_vectors_that_say_nothing_give_an_auc_of_a_half(model: Model) -> None:
    held = train_adapter(model, examples(model, 600, signal=0), "linear").held_out
    assert held.mean_auc is not None
    assert held.mean_auc.value == pytest.approx(0.5, abs=0.1)
    assert held.mean_auc.low < 0.5 < held.mean_auc.high


def test_figures_are_of_the_split_test_and_thresholds_of_val(model: Model) -> None:
    embedded = examples(model, 150, splits=("train", "val", "test"), signal=0.4)
    trained = train_adapter(model, embedded, "linear")
    split = np.array([example.split for example in embedded.manifest.examples])
    scores, truth = trained.adapter.predict_proba(embedded.vectors), embedded.truth()
    test, val = split == "test", split == "val"
    assert (trained.n_train, trained.held_out.n) == ((split == "train").sum(), test.sum())
    for i, label in enumerate(LABELS):
        assert trained.held_out.auc[label] == pytest.approx(roc_auc_score(truth[test, i], scores[test, i]))
        assert trained.adapter.thresholds[label].youden in scores[val, i]
    only_val = train_adapter(model, examples(model, 150, splits=("train", "val")), "knn")
    assert only_val.held_out.n == 75


def test_what_cannot_be_learnt_is_told(model: Model) -> None:
    with pytest.raises(ManifestError, match="only the split train"):
        train_adapter(model, examples(model, splits=("train",)), "linear")
    with pytest.raises(ManifestError, match="only the split val and test"):
        train_adapter(model, examples(model, splits=("val", "test")), "linear")
    with pytest.raises(ManifestError, match="no example of 'no finding' to learn from") as caught:
        train_adapter(model, lonely(model), "linear")
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigError, match="one label a picture"):
        train_adapter(model, examples(model, several=True), "tip")


def lonely(model: Model) -> EmbeddedManifest:
    """Labels of which the split train has the first only."""
    embedded = examples(model, 90, splits=("train", "test"))
    kept = [i for i, e in enumerate(embedded.manifest.examples) if e.split == "test" or e.labels == LABELS[:1]]
    rows = tuple(embedded.manifest.examples[i] for i in kept)
    manifest = Manifest(path=Path("m.csv"), examples=rows, labels=LABELS, is_multilabel=False)
    return EmbeddedManifest(manifest=manifest, vectors=embedded.vectors[kept])


def test_a_label_that_no_held_out_example_has_is_left_open(model: Model) -> None:
    embedded = examples(model, 90, splits=("train", "test"))
    kept = [i for i, e in enumerate(embedded.manifest.examples) if e.split == "train" or e.labels != LABELS[:1]]
    rows = tuple(embedded.manifest.examples[i] for i in kept)
    manifest = Manifest(path=Path("m.csv"), examples=rows, labels=LABELS, is_multilabel=False)
    trained = train_adapter(model, EmbeddedManifest(manifest=manifest, vectors=embedded.vectors[kept]), "linear")
    assert trained.held_out.auc["effusion"] is None
    assert "effusion" not in trained.adapter.thresholds


def test_predictions_of_pictures(model: Model) -> None:
    adapter = train_adapter(model, examples(model), "linear").adapter
    pixels = np.random.default_rng(2).integers(0, 256, (2, 40, 50, 3), np.uint8)
    expected = adapter.predict_proba(model.encode_image(pixels))
    for prediction, row in zip(adapter.predict(model, pixels), expected, strict=True):
        assert prediction.as_dict() == pytest.approx(dict(zip(LABELS, row, strict=True)))
        for label, value, youden, sens90 in zip(
            prediction.labels, prediction.probabilities, prediction.above_youden, prediction.above_sens90, strict=True
        ):
            cuts = adapter.thresholds[label]
            assert (youden, sens90) == (value >= cuts.youden, value >= cuts.sens90)
    with pytest.raises(UnsupportedImage):
        adapter.predict(model, b"no picture")


def test_another_model_is_refused_by_name(model: Model, recipe_folder: Callable[[str], Path]) -> None:
    adapter = train_adapter(model, examples(model), "linear").adapter
    other = dualsight.load(recipe_folder("coswin"))
    with pytest.raises(AdapterError, match=f"made for the model {model.name}.* this is {other.name}"):
        adapter.predict(other, np.zeros((40, 50, 3), np.uint8))


class Known:
    """A head whose probabilities are the vectors themselves."""

    def predict_proba(self, vectors: np.ndarray) -> np.ndarray:
        return vectors.astype(np.float64)


def held_out(truth: np.ndarray, scores: np.ndarray, *, several: bool) -> EmbeddedManifest:
    """A patient a picture, whose labels are a row of truth [n, k]."""
    names = tuple("abcdefghijklmnopqrstuvwxyz"[: truth.shape[1]])
    rows = tuple(
        Example(
            row=i + 2,
            path=Path(f"{i}.png"),
            labels=tuple(name for name, true in zip(names, own, strict=True) if true),
            patient=f"P{i}",
            split=None,
            columns={},
        )
        for i, own in enumerate(truth)
    )
    manifest = Manifest(path=Path("m.csv"), examples=rows, labels=names, is_multilabel=several)
    return EmbeddedManifest(manifest=manifest, vectors=scores.astype(np.float32))


def test_the_interval_of_the_mean_auc_is_of_the_same_labels_as_its_value() -> None:
    """One patient alone has the second label: a third of the resamples lacks it, and says nothing of the mean."""
    truth = np.zeros((20, 2), bool)
    truth[::2, 0] = True
    truth[0, 1] = True
    scores = np.stack([np.full(20, 0.5), truth[:, 1]], axis=1)  # an AUC of 0.5, and one of 1
    found = measure(Known(), held_out(truth, scores, several=True), seed=0).mean_auc
    assert found is not None
    assert (found.value, found.low, found.high) == (0.75, 0.75, 0.75)


def test_there_is_no_interval_where_no_resample_has_all_labels() -> None:
    found = measure(Known(), held_out(np.eye(20, dtype=bool), np.eye(20), several=False), seed=0)
    assert found.mean_auc is not None and found.accuracy is not None
    assert (found.mean_auc.value, found.mean_auc.low, found.mean_auc.high) == (1.0, None, None)
    assert (found.accuracy.value, found.accuracy.low, found.accuracy.high) == (1.0, 1.0, 1.0)
