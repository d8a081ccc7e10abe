"""A table of labelled pictures, a model, and methods to compare → figures with their doubt.

manifest ──embed──▶ train ──fit──▶ methods
                    val ───scores──▶ thresholds, temperature, Platt
                    test ──scores──▶ figures, at those thresholds, before and after those scalings
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import ConfigError, ManifestError
from dualsight.learn.adapt.adapter import Adapter
from dualsight.learn.embedded import EmbeddedManifest
from dualsight.learn.evaluate.bootstrap import patient_numbers
from dualsight.learn.evaluate.calibration import fit_platt, fit_temperature, reliability
from dualsight.learn.evaluate.figures import label_figures, mean_figure, top_figures
from dualsight.learn.evaluate.methods import Floats, Method, adapted, nearest, zero_shot
from dualsight.learn.evaluate.report import Calibration, Evaluation, MethodFigures, MethodName, Plan
from dualsight.learn.evaluate.retrieval import Retrieval, retrieval
from dualsight.learn.evaluate.subgroups import check_subgroups, groups
from dualsight.learn.evaluate.thresholds import LabelThresholds, Thresholds, choose_thresholds
from dualsight.learn.manifest import Manifest
from dualsight.task.model import Model

SEED = 0  # of the bootstrap: the same pictures give the same intervals
SAME_PICTURES = "no split val: thresholds were chosen on the pictures they are measured on, which flatters them"

Embed = Callable[[Manifest], EmbeddedManifest]
Chosen = tuple[LabelThresholds | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Data:
    """The pictures measured, those that thresholds come from (the same, where there is no val), and their names."""

    measured: EmbeddedManifest
    tuning: EmbeddedManifest
    split: str
    chosen_on: str

    @property
    def is_tuned_apart(self) -> bool:
        return self.tuning is not self.measured

    @property
    def failed(self) -> int:
        """How many pictures of either could not be used."""
        return len(self.measured.failed) + (len(self.tuning.failed) if self.is_tuned_apart else 0)


def evaluate(
    model: Model, manifest: Manifest, plan: Plan, *, embed: Embed, date: str, adapter: tuple[str, Adapter] | None = None
) -> Evaluation:
    """Measures on the split test, or on the whole of a table without splits. adapter: its name, and itself.

    Raises ManifestError for a split or column that is needed and not there, AdapterError for an adapter that does not
    fit, TextError for labels or templates that cannot be used, ConfigError for an adapter that is not given.
    """
    check_subgroups(manifest, plan.subgroups)
    if plan.caption_column is not None:
        _check_captions(manifest, plan.caption_column)
    prepared = [_method(name, model, manifest, plan, embed, adapter) for name in plan.methods]  # embeds nothing yet
    data = _embedded(manifest, embed)
    methods = [method() for method in prepared]
    found = [_measure(method, data, plan) for method in methods]
    chosen = next(
        (chosen for method, (_, chosen) in zip(methods, found, strict=True) if method.name == "zero-shot"), None
    )
    return Evaluation(
        model=model.name,
        fingerprint=model.fingerprint,
        notice=model.notice,
        date=date,
        manifest=manifest.path.name,
        split=data.split,
        n=len(data.measured.vectors),
        patients=int(patient_numbers(data.measured.manifest.examples).max()) + 1,
        failed=data.failed,
        labels=manifest.labels,
        is_multilabel=manifest.is_multilabel,
        specificity=plan.specificity,
        rule=plan.rule,
        chosen_on=data.chosen_on,
        caution="" if data.is_tuned_apart else SAME_PICTURES,
        methods=tuple(figures for figures, _ in found),
        retrieval=_retrieval(model, data.measured, plan.caption_column) if plan.caption_column else None,
        thresholds=_saved(model, manifest, plan, chosen, data.chosen_on) if chosen else None,
    )


def _embedded(manifest: Manifest, embed: Embed) -> _Data:
    split = "test" if manifest.splits else "all"
    measured = embed(manifest.split("test") if manifest.splits else manifest)
    if "val" not in manifest.splits:
        data = _Data(measured=measured, tuning=measured, split=split, chosen_on=split)
    else:
        data = _Data(measured=measured, tuning=embed(manifest.split("val")), split=split, chosen_on="val")
    for name, part in ((data.split, data.measured), (data.chosen_on, data.tuning)):
        if not len(part.vectors):
            raise ManifestError(f"{manifest.path}: no picture of {name} can be used")
    return data


def _method(
    name: MethodName, model: Model, manifest: Manifest, plan: Plan, embed: Embed, adapter: tuple[str, Adapter] | None
) -> Callable[[], Method]:
    """What gives the method. All that can be refused is refused now, and its pictures are embedded only then."""
    match name:
        case "zero-shot":
            by_words = zero_shot(model, manifest, plan.templates)
            return lambda: by_words
        case "knn":
            train = manifest.split("train")
            return lambda: nearest(embed(train))
        case "adapter":
            if adapter is None:
                raise ConfigError("the method adapter needs an adapter", hint="give it with --adapter")
            by_adapter = adapted(adapter[1], model, manifest, adapter[0])
            return lambda: by_adapter


def _measure(method: Method, data: _Data, plan: Plan) -> tuple[MethodFigures, Chosen]:
    """The method's figures, and the thresholds [k] that it was measured at."""
    manifest, truth = data.measured.manifest, data.measured.truth()
    scores = method.predict(data.measured.vectors)
    tuning_scores = method.predict(data.tuning.vectors) if data.is_tuned_apart else scores
    tuning_truth = data.tuning.truth()
    chosen = tuple(
        choose_thresholds(s, t, plan.specificity) for s, t in zip(tuning_scores.T, tuning_truth.T, strict=True)
    )
    patients = patient_numbers(manifest.examples)
    rng = np.random.default_rng(SEED)
    labels, mean_auc = label_figures(
        manifest.labels, scores, truth, patients, chosen, specificity=plan.specificity, rng=rng
    )
    figures = MethodFigures(
        method=method.name,
        detail=method.detail,
        mean_auc=mean_auc,
        mean_average_precision=mean_figure([label.average_precision for label in labels]),
        top=None if manifest.is_multilabel else top_figures(scores, truth),
        labels=labels,
        calibration=_calibration(scores, truth, tuning_scores, tuning_truth, data),
        groups=tuple(
            group
            for column in plan.subgroups
            for group in groups(
                [example.columns[column] for example in manifest.examples],
                column,
                scores,
                truth,
                patients,
                multilabel=manifest.is_multilabel,
            )
        ),
    )
    return figures, chosen


def _calibration(
    scores: Floats, truth: NDArray[np.bool_], tuning: Floats, tuning_truth: NDArray[np.bool_], data: _Data
) -> Calibration:
    multilabel = data.measured.manifest.is_multilabel
    plain = reliability(scores, truth, multilabel=multilabel)
    if not data.is_tuned_apart:
        return Calibration(plain=plain, reason="no split val to fit temperature and Platt scaling to")
    temperature = fit_temperature(tuning, tuning_truth, multilabel=multilabel)
    platt = fit_platt(tuning, tuning_truth, multilabel=multilabel)
    return Calibration(
        plain=plain,
        temperature=temperature.temperature,
        by_temperature=reliability(temperature(scores), truth, multilabel=multilabel),
        by_platt=reliability(platt(scores), truth, multilabel=multilabel),
    )


def _retrieval(model: Model, data: EmbeddedManifest, column: str) -> Retrieval:
    captions = [example.columns[column] for example in data.manifest.examples]
    texts = list(dict.fromkeys(captions))
    number = {text: i for i, text in enumerate(texts)}
    return retrieval(data.vectors, model.encode_text(texts), [number[caption] for caption in captions])


def _check_captions(manifest: Manifest, column: str) -> None:
    """Raises ManifestError for a column that is not there, or blank in a row."""
    if column not in manifest.examples[0].columns:
        raise ManifestError(f"{manifest.path}: no column `{column}` of captions")
    blank = tuple(f"row {e.row}: no caption in column `{column}`" for e in manifest.examples if not e.columns[column])
    if blank:
        raise ManifestError(f"{manifest.path}: captions are missing", problems=blank)


def _saved(model: Model, manifest: Manifest, plan: Plan, chosen: Chosen, chosen_on: str) -> Thresholds:
    return Thresholds(
        fingerprint=model.fingerprint,
        labels=manifest.labels,
        templates=plan.templates,
        multilabel=manifest.is_multilabel,
        rule=plan.rule,
        specificity=plan.specificity,
        chosen_on=chosen_on,
        by_label={label: one for label, one in zip(manifest.labels, chosen, strict=True) if one is not None},
    )
