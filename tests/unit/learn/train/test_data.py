"""Batches depend on seed and step alone: every pair once an epoch, the same from any step on, for any share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dualsight.errors import ImageError
from dualsight.image.prepare import Preprocessing
from dualsight.learn.train.data import Places, Varied, batches, group_pairs
from dualsight.learn.train.pairs import Pair, TrainingData
from dualsight.learn.train.recipe import Augmentation
from dualsight.text.tokenizer import Tokenizer

SMALL = Preprocessing(height=16, width=16, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def places(
    pairs: int, batch: int, steps: int, start: int = 0, share: slice = slice(None)
) -> list[list[tuple[int, int]]]:
    return list(Places(pairs, batch, steps, seed=5, start=start, share=share))


@given(pairs=st.integers(1, 30), batch=st.integers(1, 12), steps=st.integers(1, 12), start=st.integers(0, 12))
def test_each_pair_once_an_epoch_and_the_same_from_any_step(pairs: int, batch: int, steps: int, start: int) -> None:
    whole, start = places(pairs, batch, steps), min(start, steps)
    assert places(pairs, batch, steps, start=start) == whole[start:]
    flat = [number for step in whole for number, _ in step]
    assert [position for step in whole for _, position in step] == list(range(steps * batch))
    for epoch in range(len(flat) // pairs):
        assert sorted(flat[epoch * pairs : (epoch + 1) * pairs]) == list(range(pairs))


def test_two_processes_share_what_one_would_take() -> None:
    one, two = (places(7, 4, 5, share=slice(2 * rank, 2 * rank + 2)) for rank in range(2))
    assert [a + b for a, b in zip(one, two, strict=True)] == places(7, 4, 5)


def test_epochs_are_ordered_differently() -> None:
    order = [number for number, _ in places(30, 60, 1)[0]]
    assert order[:30] != order[30:]


@pytest.fixture
def dataset(tmp_path: Path) -> Varied:
    pairs = []
    for i in range(6):
        path = tmp_path / f"{i}.png"
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 24, 3), np.uint8)).save(path)
        pairs.append(Pair(place=path.name, picture=path, labels=(("a", "b", "c")[i % 3],)))
    data = TrainingData(
        pairs=tuple(pairs), validation=(), labels=("a", "b", "c"), templates=("ct {label}", "mri {label}")
    )
    return Varied(
        data=data,
        preprocessing=SMALL,
        augmentation=Augmentation(),
        window="auto",
        seed=3,
        groups=group_pairs(data.pairs),
    )


def made(dataset: Varied, *, start: int = 0, workers: int = 0) -> list:
    chosen = Places(6, 4, 3, seed=3, start=start, share=slice(None))
    return list(batches(dataset, chosen, Tokenizer.packaged(), context_length=77, workers=workers, class_prompts=True))


def test_batches_are_the_same_from_any_step_and_with_any_workers(dataset: Varied) -> None:
    whole = made(dataset)
    for others, first in ((made(dataset, start=2), 2), (made(dataset, workers=2), 0)):
        for one, other in zip(whole[first:], others, strict=True):
            assert torch.equal(one.pixels, other.pixels)
            assert torch.equal(one.input_ids, other.input_ids)
            assert torch.equal(one.labels, other.labels)
    batch = whole[0]
    assert batch.pixels.shape == (4, 3, 16, 16)
    assert len(batch.input_ids) == 4 + 3
    assert torch.equal(batch.labels, batch.classes)  # here groups were numbered as labels are
    assert not torch.equal(whole[0].pixels, whole[1].pixels)


def test_groups_are_equal_labels_or_equal_texts() -> None:
    file = Path("x.png")
    pairs = (
        Pair(place="1", picture=file, labels=("a", "b")),
        Pair(place="2", picture=file, labels=("b", "a")),
        Pair(place="3", picture=file, text="a"),
        Pair(place="4", picture=file, text="a"),
        Pair(place="5", picture=file, labels=("a",)),
    )
    assert group_pairs(pairs) == (0, 0, 1, 1, 2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_does_not_open_stops_the_run_by_its_name(dataset: Varied, workers: int) -> None:
    Path(dataset.data.pairs[2].picture).write_text("no picture")
    with pytest.raises(ImageError, match=r"2\.png"):
        made(dataset, workers=workers)
