"""Embeddings of pictures and of labels → probabilities: zero-shot classification.

logits = exp(logit_scale) · cosine;  softmax: one label is true;  sigmoid: each on its own
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualsight.image.frame import FrameMeta
from dualsight.task.embed import Embedded
from dualsight.text.prompts import fill

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """What a model makes of one picture, series or study: labels by falling probability. Never a diagnosis.

    frame_index: None where it stands for `n_frames` of them together.
    `multilabel`: each probability stands for itself (sigmoid); else they sum to one (softmax).
    """

    source: str
    frame_index: int | None
    n_frames: int
    meta: FrameMeta
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    multilabel: bool

    @property
    def top(self) -> str:
        """The most probable label."""
        return self.labels[0]

    def as_dict(self) -> dict[str, float]:
        """Label → probability, falling, as the reference returns it."""
        return dict(zip(self.labels, self.probabilities, strict=True))


def label_embeddings(
    labels: Sequence[str], templates: Sequence[str], encode_text: Callable[[Sequence[str]], Vectors]
) -> Vectors:
    """One vector a label [n, D]: the normalised mean over its prompts (one template: that prompt's vector).

    Raises TextError as `prompts.fill` does: no labels, a repeated one, a template without `{label}`.
    """
    prompts = fill(templates, labels)  # [label][template]
    vectors = encode_text([prompt for row in prompts for prompt in row])
    if len(templates) == 1:
        return vectors
    mean = vectors.reshape(len(labels), len(templates), -1).mean(axis=1)
    return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), dtype=np.float32)


def probabilities(image: Vectors, labels: Vectors, logit_scale: float, *, multilabel: bool) -> NDArray[np.float64]:
    """float64 [n]: of an image vector [D] and label vectors [n, D]; `logit_scale` as stored, a logarithm."""
    logits = labels.astype(np.float64) @ image.astype(np.float64) * np.exp(logit_scale)
    if multilabel:
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))
    exponentials = np.exp(logits - logits.max())
    return np.asarray(exponentials / exponentials.sum())


def classify(
    picture: Embedded, labels: Sequence[str], vectors: Vectors, logit_scale: float, *, multilabel: bool
) -> Classification:
    """The labels, whose embeddings [n, D] are `vectors`, by falling probability for a picture."""
    names, falling = ranked(labels, probabilities(picture.vector, vectors, logit_scale, multilabel=multilabel))
    return Classification(
        source=picture.source,
        frame_index=picture.frame_index,
        n_frames=picture.n_frames,
        meta=picture.meta,
        labels=names,
        probabilities=falling,
        multilabel=multilabel,
    )


def ranked(labels: Sequence[str], values: NDArray[np.float64]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Labels and probabilities by falling probability; equal ones keep the order they were given in."""
    order: list[int] = np.argsort(-values, kind="stable").tolist()
    return tuple(labels[i] for i in order), tuple(float(values[i]) for i in order)
