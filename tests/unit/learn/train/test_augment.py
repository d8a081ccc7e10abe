"""Pictures are varied as their seed says, within the ranges that were asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from dualsight.image.prepare import Preprocessing, normalise, resize
from dualsight.learn.train import augment as module
from dualsight.learn.train.augment import OPERATIONS, augment, erase, random_resized_crop, trivial_augment
from dualsight.learn.train.recipe import Augmentation

SMALL = Preprocessing(height=24, width=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
STILL = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(4 / 3, 4 / 3), trivial=False, erasing=0.0)


def picture(height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


@given(seed=st.integers(0, 2**32), height=st.integers(1, 90), width=st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_the_same_seed_gives_the_same_pixels(seed: int, height: int, width: int) -> None:
    rgb = picture(height, width)
    first, again = (augment(rgb, SMALL, Augmentation(), np.random.default_rng(seed)) for _ in range(2))
    assert first.shape == (3, 24, 32)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)


def test_other_seeds_give_other_pixels() -> None:
    made = {augment(picture(), SMALL, Augmentation(), np.random.default_rng(seed)).tobytes() for seed in range(20)}
    assert len(made) == 20


def test_without_a_choice_it_is_what_the_encoder_sees_otherwise() -> None:
    pixels = augment(picture(), SMALL, STILL, np.random.default_rng(0))
    np.testing.assert_array_equal(pixels, normalise(resize(picture(), SMALL), SMALL))


def test_what_is_kept_of_a_picture_lies_in_the_range() -> None:
    how = Augmentation(crop_scale=(0.5, 0.6), crop_ratio=(0.75, 4 / 3))
    for seed in range(200):
        width, height = module._crop_size(80, 60, how, np.random.default_rng(seed))
        assert 0.48 < width * height / (80 * 60) < 0.62
        assert 0.73 < width / height < 1.36


@pytest.mark.parametrize("size", [(1, 500), (500, 1), (1, 1)])
def test_a_strip_is_cropped_to_the_nearest_shape_allowed(size: tuple[int, int]) -> None:
    width, height = module._crop_size(*size, Augmentation(), np.random.default_rng(0))
    assert (width, height) == (1, 1)
    assert random_resized_crop(Image.new("RGB", size), SMALL, Augmentation(), np.random.default_rng(0)).size == (32, 24)


@pytest.mark.parametrize("number", range(len(OPERATIONS)))
def test_an_operation_keeps_the_size_and_does_nothing_at_no_strength(number: int) -> None:
    from_noise = Image.fromarray(picture())
    made = [np.asarray(OPERATIONS[number](from_noise, strength, 1.0), np.int64) for strength in (0.0, 0.4, 1.0)]
    assert all(one.shape == (60, 80, 3) for one in made)
    changed = [int(np.abs(one - picture()).sum()) for one in made]
    if number == 0:
        assert changed == [0, 0, 0]
    elif number < 11:
        assert changed[0] == 0 < min(changed[1:])  # the last three begin with something


def test_every_operation_comes_up() -> None:
    seen = set()
    flat = Image.fromarray(picture())
    for seed in range(300):
        rng = np.random.default_rng(seed)
        seen.add(int(np.random.default_rng(seed).integers(len(OPERATIONS))))
        assert trivial_augment(flat, rng).size == flat.size
    assert seen == set(range(14))


def test_erasing_leaves_the_rest_and_takes_the_share_it_should() -> None:
    for seed in range(50):
        pixels = np.ones((3, 40, 50), np.float32)
        erase(pixels, np.random.default_rng(seed))
        gone = pixels[0] == 0
        assert 0.01 < gone.mean() < 0.36
        assert (pixels == pixels[0]).all()
        rows, columns = np.nonzero(gone)
        assert gone[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_erasing_comes_as_often_as_asked() -> None:
    how = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(4 / 3, 4 / 3), trivial=False, erasing=0.25)
    white = np.full((60, 80, 3), 255, np.uint8)
    erased = [(augment(white, SMALL, how, np.random.default_rng(seed)) == 0).any() for seed in range(400)]
    assert 0.18 < np.mean(erased) < 0.32
