"""The ways from embeddings to probabilities that are compared: by words alone, by known pictures, by an adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.errors import AdapterError, ManifestError
from dualsight.learn.adapt.adapter import Adapter
from dualsight.learn.adapt.nearest import KNearest
from dualsight.learn.adapt.prompts import PromptEnsemble
from dualsight.learn.embedded import EmbeddedManifest
from dualsight.learn.manifest import Manifest
from dualsight.task.classify import label_embeddings
from dualsight.task.model import Model

Floats = NDArray[np.float64]
Predict = Callable[[NDArray[np.float32]], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """predict: embeddings [n, D] → probabilities [n, k] in the order of the table's labels. detail: how, in words."""

    name: str
    detail: str
    predict: Predict


def zero_shot(model: Model, manifest: Manifest, templates: Sequence[str]) -> Method:
    """As `Model.classify`: softmax over the labels, or sigmoids where a picture may have several.

    Raises TextError for unusable labels or templates.
    """
    words = label_embeddings(manifest.labels, templates, model.encode_text)
    head = PromptEnsemble(words, logit_scale=model.logit_scale, multilabel=manifest.is_multilabel).fit(words)
    return Method(name="zero-shot", detail=f"by words alone: {', '.join(templates)}", predict=head.predict_proba)


def nearest(train: EmbeddedManifest) -> Method:
    """Votes of the most similar training pictures. Raises ManifestError for fewer than two, or for one label only."""
    if len(train.vectors) < 2:
        raise ManifestError(f"{train.manifest.path}: k-NN needs two training pictures that can be used")
    truth = train.truth()
    head, k = KNearest(), truth.shape[1]
    predict: Predict
    if train.manifest.is_multilabel:
        predict = head.fit(train.vectors, truth.astype(int)).predict_proba
    elif len(np.unique(truth.argmax(axis=1))) < 2:
        raise ManifestError(f"{train.manifest.path}: k-NN needs training pictures of two labels")
    else:
        head.fit(train.vectors, truth.argmax(axis=1))

        def among_all(vectors: NDArray[np.float32]) -> Floats:
            found = np.zeros((len(vectors), k))
            found[:, head.classes_] = head.predict_proba(vectors)
            return found

        predict = among_all
    neighbours = min(head.n_neighbors, len(truth))
    return Method(name="knn", detail=f"{neighbours} nearest of {len(truth):,} training pictures", predict=predict)


def adapted(adapter: Adapter, model: Model, manifest: Manifest, name: str) -> Method:
    """A trained adapter, called `name`. Raises AdapterError for another model, or other labels than the table's."""
    adapter.check_model(model)
    if set(adapter.labels) != set(manifest.labels):
        other = ", ".join(sorted(set(adapter.labels) ^ set(manifest.labels)))
        raise AdapterError(f"{name}: its labels are not those of {manifest.path}; the difference is {other}")
    if adapter.is_multilabel != manifest.is_multilabel:
        kinds = ("one label a picture", "several labels a picture")
        raise AdapterError(f"{name}: is for {kinds[adapter.is_multilabel]}, {manifest.path} is not")
    order = [adapter.labels.index(label) for label in manifest.labels]
    return Method(
        name="adapter",
        detail=f"{name} ({adapter.kind})",
        predict=lambda vectors: adapter.predict_proba(vectors)[:, order],
    )
