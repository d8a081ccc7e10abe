"""Figures are those that the model's own answers give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dualsight.learn.metrics import roc_auc
from dualsight.learn.train.distributed import Processes, Towers
from dualsight.learn.train.measure import Embedder, measure
from dualsight.learn.train.pairs import Pair, TrainingData
from dualsight.task.model import Model, load

LABELS, TEMPLATES = ("mass", "no finding", "oedema"), ("ct {label}", "x-ray {label}")


@pytest.fixture
def model(recipe_folder: Callable[[str], Path]) -> Model:
    return load(recipe_folder("davit"))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(14)]
    for i, path in enumerate(paths):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 24, 3), np.uint8)).save(path)
    return paths


def embedder(model: Model) -> Embedder:
    return Embedder(
        towers=Towers(model.checkpoint.model),
        config=model.config,
        tokenizer=model.checkpoint.tokenizer,
        processes=Processes(rank=0, count=1, device=torch.device("cpu")),
        window="auto",
    )


def data(pairs: list[Pair], labels: tuple[str, ...] = LABELS) -> TrainingData:
    return TrainingData(pairs=(), validation=tuple(pairs), labels=labels, templates=TEMPLATES)


def test_one_label_each(model: Model, pictures: list[Path]) -> None:
    truth = [LABELS[i % 2] for i in range(len(pictures))]  # nothing has oedema: it has no AUC
    pairs = [Pair(place=str(i), picture=p, labels=(truth[i],)) for i, p in enumerate(pictures)]
    figures = measure(embedder(model), data(pairs), model.logit_scale)
    answers = [answer.as_dict() for answer in model.classify(pictures, LABELS, templates=TEMPLATES)]
    for label, auc in figures.aucs:
        scores, positives = np.array([one[label] for one in answers]), np.array([label == one for one in truth])
        assert auc == pytest.approx(roc_auc(scores, positives))
    assert [label for label, _ in figures.aucs] == ["mass", "no finding"]
    right = [max(one, key=one.__getitem__) == label for one, label in zip(answers, truth, strict=True)]
    assert figures.accuracy == pytest.approx(np.mean(right))


def test_several_labels_have_no_accuracy(model: Model, pictures: list[Path]) -> None:
    pairs = [Pair(place=str(i), picture=p, labels=LABELS[: i % 3]) for i, p in enumerate(pictures)]
    figures = measure(embedder(model), data(pairs), model.logit_scale)
    assert figures.accuracy is None
    assert [label for label, _ in figures.aucs] == ["mass", "no finding"]


def test_a_pictures_own_text(model: Model, pictures: list[Path]) -> None:
    texts = [f"text {i} {word}" for i, word in enumerate("abcdefghijklmn")]
    pairs = [Pair(place=text, picture=p, text=text) for p, text in zip(pictures, texts, strict=True)]
    figures = measure(embedder(model), data(pairs, labels=()), model.logit_scale)
    order = (-model.similarity(pictures, texts)).argsort(1)
    assert figures.recall_at_10 == np.mean([i in row[:10] for i, row in enumerate(order)])
    assert 0 < figures.recall_at_10 < 1


def test_texts_are_measured_where_labels_were_trained_on(model: Model, pictures: list[Path]) -> None:
    texts = [f"text {i} {word}" for i, word in enumerate("abcdefghijklmn")]
    pairs = [Pair(place=text, picture=p, text=text) for p, text in zip(pictures, texts, strict=True)]
    of_texts = measure(embedder(model), data(pairs, labels=()), model.logit_scale)
    assert measure(embedder(model), data(pairs, labels=LABELS), model.logit_scale) == of_texts
    assert of_texts.recall_at_10 is not None
