"""Embedded examples → an adapter, its thresholds, and figures on examples that it has not seen.

examples ──divide──▶ train ──fit──▶ head ──┬─ val ──▶ thresholds
                     val, test             └─ test ─▶ figures
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import ConfigError, ManifestError
from dualsight.learn.adapt.adapter import Adapter, Kind
from dualsight.learn.adapt.head import Head
from dualsight.learn.adapt.linear import LinearProbe
from dualsight.learn.adapt.mlp import MlpAdapter
from dualsight.learn.adapt.nearest import KNearest
from dualsight.learn.adapt.thresholds import find_thresholds
from dualsight.learn.adapt.tip import TipAdapter
from dualsight.learn.embedded import EmbeddedManifest
from dualsight.learn.evaluate.bootstrap import RESAMPLES, interval, patient_numbers, resampled_aucs
from dualsight.learn.manifest import Manifest
from dualsight.learn.metrics import roc_auc
from dualsight.task.classify import label_embeddings
from dualsight.task.model import Model

HELD_OUT = 0.2  # of the patients, where the manifest has no splits
Truth = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and its 95 % interval, by bootstrap over patients; None where no resample has the figure."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Figures on `n` examples of `patients` that were not learnt from.

    accuracy: of the most probable label; None where several may be true. mean_auc: over labels that have an auc; None
    without one. auc: ROC AUC by label, each against the rest; None where all or none of the examples have it.
    """

    n: int
    patients: int
    accuracy: Estimate | None
    mean_auc: Estimate | None
    auc: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """An adapter and what it is worth."""

    adapter: Adapter
    n_train: int
    held_out: HeldOut


def train_adapter(
    model: Model,
    embedded: EmbeddedManifest,
    kind: Kind,
    *,
    seed: int = 0,
    templates: Sequence[str] = ("{label}",),
) -> Trained:
    """An adapter of `kind` on the embeddings of a manifest, with thresholds and figures from held-out examples.

    By the manifest's splits: train is learnt from, val gives the thresholds, test the figures; where one of val and
    test is not there the other gives both. Without splits a fifth of the patients is held out for both.
    templates: the words of labels, for "tip". Raises ManifestError for splits or labels that do not allow it,
    ConfigError for several labels a picture with "tip".
    """
    train, val, test = _divide(embedded, seed)
    _check_labels(train)
    head = make_head(model, kind, embedded.manifest, seed=seed, templates=templates)
    truth = train.truth()
    head.fit(train.vectors, truth.astype(np.int64) if embedded.manifest.is_multilabel else truth.argmax(axis=1))
    labels, scores, known = embedded.manifest.labels, head.predict_proba(val.vectors), val.truth()
    found = {label: find_thresholds(scores[:, i], known[:, i]) for i, label in enumerate(labels)}
    adapter = Adapter(
        kind=kind,
        head=head,
        labels=labels,
        model=model.name,
        fingerprint=model.fingerprint,
        thresholds={label: cuts for label, cuts in found.items() if cuts is not None},
    )
    return Trained(adapter=adapter, n_train=len(train.vectors), held_out=measure(head, test, seed=seed))


def make_head(model: Model, kind: Kind, manifest: Manifest, *, seed: int, templates: Sequence[str]) -> Head:
    """The estimator of `kind`, not fitted yet. Raises ConfigError for what it cannot learn."""
    match kind:
        case "linear":
            return LinearProbe()
        case "knn":
            return KNearest()
        case "mlp":
            return MlpAdapter(random_state=seed)
        case "tip":
            if manifest.is_multilabel:
                raise ConfigError("tip needs one label a picture", hint="linear, knn and mlp take several")
            words = label_embeddings(manifest.labels, templates, model.encode_text)
            return TipAdapter(words, logit_scale=model.logit_scale, random_state=seed)


def measure(head: Head, held: EmbeddedManifest, *, seed: int) -> HeldOut:
    """Figures of a fitted head on examples it has not seen."""
    scores, truth = head.predict_proba(held.vectors), held.truth()
    patients = patient_numbers(held.manifest.examples)
    areas = np.array([roc_auc(scores[:, i], truth[:, i]) for i in range(truth.shape[1])])
    right = scores.argmax(axis=1) == truth.argmax(axis=1)
    return HeldOut(
        n=len(scores),
        patients=int(patients.max()) + 1,
        accuracy=None if held.manifest.is_multilabel else _accuracy(right, patients, seed),
        mean_auc=None if np.isnan(areas).all() else _mean_auc(areas, scores, truth, patients, seed),
        auc={label: None if np.isnan(area) else area for label, area in zip(held.manifest.labels, areas, strict=True)},
    )


def _accuracy(right: NDArray[np.bool_], patients: NDArray[np.int64], seed: int) -> Estimate:
    """Of the pictures [n] that are answered rightly; whole patients are drawn, their pictures are not independent."""
    rng = np.random.default_rng(seed)
    pictures, hits = np.bincount(patients), np.bincount(patients, weights=right)
    draws = (rng.integers(len(pictures), size=len(pictures)) for _ in range(RESAMPLES))
    values = np.array([hits[drawn].sum() / pictures[drawn].sum() for drawn in draws])
    return _estimate(float(right.mean()), values)


def _mean_auc(
    areas: NDArray[np.float64], scores: NDArray[np.float64], truth: Truth, patients: NDArray[np.int64], seed: int
) -> Estimate:
    """Over the labels that have one of `areas` [k]. A resample that lacks one of these would be another figure."""
    known = ~np.isnan(areas)
    resamples = resampled_aucs(scores[:, known], truth[:, known], patients, np.random.default_rng(seed))
    return _estimate(float(areas[known].mean()), resamples.mean(axis=1))


def _estimate(value: float, resamples: NDArray[np.float64]) -> Estimate:
    low, high = interval(resamples) or (None, None)
    return Estimate(value=value, low=low, high=high)


def _divide(embedded: EmbeddedManifest, seed: int) -> tuple[EmbeddedManifest, EmbeddedManifest, EmbeddedManifest]:
    """Train, val and test. Raises ManifestError where there is nothing to learn from, or nothing to measure on."""
    manifest = embedded.manifest
    if not manifest.splits:
        train, held = manifest.split_by_patient(HELD_OUT, seed)
        return _only(embedded, train), _only(embedded, held), _only(embedded, held)
    if "train" not in manifest.splits or len(manifest.splits) < 2:
        found = " and ".join(manifest.splits)
        raise ManifestError(f"{manifest.path}: only the split {found}", hint="needed are train, and val, test or both")
    return (
        _only(embedded, manifest.split("train")),
        _only(embedded, manifest.split("val" if "val" in manifest.splits else "test")),
        _only(embedded, manifest.split("test" if "test" in manifest.splits else "val")),
    )


def _only(embedded: EmbeddedManifest, part: Manifest) -> EmbeddedManifest:
    """The examples of `part`, a subset, with their vectors."""
    index = {example.row: i for i, example in enumerate(embedded.manifest.examples)}
    rows = [index[example.row] for example in part.examples]
    return replace(embedded, manifest=part, vectors=embedded.vectors[rows])


def _check_labels(train: EmbeddedManifest) -> None:
    """Raises ManifestError unless there are two labels, or several a picture, and an example of each."""
    manifest = train.manifest
    if len(manifest.labels) < 2 and not manifest.is_multilabel:
        raise ManifestError(f"{manifest.path}: one label only: {', '.join(manifest.labels)!r}", hint="two are needed")
    missing = [label for label, n in zip(manifest.labels, train.truth().sum(axis=0), strict=True) if n == 0]
    if missing:
        problems = tuple(f"no example of {label!r} to learn from" for label in missing)
        hint = "give more examples, or a column `split`"
        raise ManifestError(f"{manifest.path}: labels that cannot be learnt", problems=problems, hint=hint)
