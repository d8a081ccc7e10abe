"""Chest x-rays: same patient, same chest; the finding where the mask says; bone white, air black."""

import numpy as np
import pytest

from dualsight.learn.phantom import chest, physics, xray
from dualsight.learn.phantom.base import Drawing

LATERAL = ("pneumonia", "pleural effusion", "pneumothorax", "lung nodule", "atelectasis")
SEEDS = range(4)


def draw(seed: int, finding: str | None, view: str = "posteroanterior", size: int = 128, shot: int = 7) -> Drawing:
    return xray.CHEST.draw(np.random.default_rng(seed), np.random.default_rng(shot), view, finding, size)


@pytest.mark.parametrize("finding", LATERAL)
@pytest.mark.parametrize("seed", SEEDS)
def test_left_of_the_patient_is_at_image_right(finding: str, seed: int) -> None:
    drawing = draw(seed, finding)
    middle = np.nonzero(drawing.mask)[1].mean()
    assert drawing.side == ("left" if middle > 64 else "right")


@pytest.mark.parametrize("finding", ["pneumonia", "pleural effusion", "lung nodule", "atelectasis"])
@pytest.mark.parametrize("seed", SEEDS)
def test_water_in_the_lung_is_whiter_than_air(finding: str, seed: int) -> None:
    normal, found = draw(seed, None), draw(seed, finding)
    assert found.pixels[found.mask].mean() > normal.pixels[found.mask].mean() + 8


@pytest.mark.parametrize("seed", SEEDS)
def test_free_air_is_blacker_than_lung(seed: int) -> None:
    normal, found = draw(seed, None), draw(seed, "pneumothorax")
    assert found.pixels[found.mask].mean() < normal.pixels[found.mask].mean() - 5


@pytest.mark.parametrize("seed", range(30))
def test_hearts_of_normal_chests_are_narrow_in_both_views(seed: int) -> None:
    patient = np.random.default_rng(seed)
    body = chest.anatomy(patient)
    x, y = physics.grid(288)
    for magnified in (1.0, 1.05):
        heart = x[chest.heart_of(body, body.heart * magnified, x, y) > 0]
        ratio = (heart.max() - heart.min()) / (2 * body.width)
        assert ratio == pytest.approx(body.heart * magnified, abs=0.02)
        assert ratio < 0.49


@pytest.mark.parametrize("seed", SEEDS)
def test_cardiomegaly_is_wider_than_half_the_thorax(seed: int) -> None:
    columns = np.nonzero(draw(seed, "cardiomegaly", size=256).mask.any(axis=0))[0]
    thorax = 2 * chest.anatomy(np.random.default_rng(seed)).width * 128  # zoom is at least 1
    assert np.ptp(columns) / thorax > 0.55


@pytest.mark.parametrize("seed", SEEDS)
def test_two_views_show_the_same_side(seed: int) -> None:
    assert draw(seed, "pneumonia", "anteroposterior").side == draw(seed, "pneumonia").side


def test_another_shot_keeps_the_anatomy() -> None:
    def shape(seed: int, shot: int) -> np.ndarray:
        return draw(seed, None, shot=shot).pixels.astype(float).ravel()

    same = np.corrcoef(shape(1, 7), shape(1, 8))[0, 1]
    other = np.mean([np.corrcoef(shape(1, 7), shape(seed, 7))[0, 1] for seed in (2, 3, 4, 5)])
    assert same > other - 0.05
    assert not np.array_equal(shape(1, 7), shape(1, 8))
