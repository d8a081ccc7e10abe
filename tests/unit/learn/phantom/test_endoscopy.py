"""Endoscopy phantoms: a dark lumen, a lamp beside the lens, and lesions on the wall."""

import numpy as np
import pytest

from dualsight.learn.phantom import endoscopy
from dualsight.learn.phantom.endoscopy import MODALITIES, Lesion, Scene, bowel, reflect
from dualsight.learn.phantom.optics import Pose

(MODALITY,) = MODALITIES
EVERY = (None, *MODALITY.findings)


def draw(patient: int, acquisition: int, finding: str | None, size: int = 96):
    return MODALITY.draw(np.random.default_rng(patient), np.random.default_rng(acquisition), "", finding, size)


def scene(seed: int) -> Scene:
    pose = Pose(size=128, reach=1.0)
    u, v = pose.plane()
    return Scene(
        bowel=bowel(np.random.default_rng(seed)), pose=pose, u=u, v=v, r=np.hypot(u, v), theta=np.arctan2(v, u)
    )


@pytest.mark.parametrize("finding", EVERY)
@pytest.mark.parametrize("size", [64, 96, 200])
def test_a_drawing_is_what_it_should_be(finding: str | None, size: int) -> None:
    drawing = draw(1, 2, finding, size)
    assert drawing.pixels.shape == (size, size, 3) and drawing.pixels.dtype == np.uint8
    assert drawing.mask.shape == (size, size) and drawing.mask.dtype == np.bool_
    assert drawing.mask.any() == (finding is not None)
    assert drawing.side is None


@pytest.mark.parametrize("finding", EVERY)
def test_the_same_generators_draw_the_same(finding: str | None) -> None:
    first, again = draw(3, 4, finding), draw(3, 4, finding)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (draw(3, 5, finding).pixels != first.pixels).any()
    assert (draw(6, 4, finding).pixels != first.pixels).any()


@pytest.mark.parametrize("finding", MODALITY.findings)
def test_a_finding_changes_the_picture_where_its_mask_is(finding: str) -> None:
    with_it, without = draw(7, 8, finding), draw(7, 8, None)
    change = np.abs(with_it.pixels.astype(float) - without.pixels).mean(axis=2)
    assert change[with_it.mask].mean() > 12
    assert change[with_it.mask].mean() > 4 * change[~with_it.mask].mean()


def test_the_lumen_is_darkest() -> None:
    for seed in range(4):
        at = scene(seed)
        light = reflect(at, Lesion(mask=np.zeros(at.u.shape, np.bool_))).mean(axis=0)
        assert light[at.r < 0.1].max() < 0.5 * np.median(light[at.r > 0.6])


def test_mucosa_is_red_and_fibrin_is_not() -> None:
    at = scene(1)
    ulcer = endoscopy.FINDINGS["ulcer"](np.random.default_rng(1), at)
    red, green, _ = reflect(at, ulcer)
    floor = ulcer.fibrin > 0.8
    assert (red / green)[~ulcer.mask].mean() > 1.5 > 1.3 > (red / green)[floor].mean()


def test_fresh_blood_is_dark_red() -> None:
    at = scene(2)
    bleeding = endoscopy.FINDINGS["bleeding"](np.random.default_rng(2), at)
    red, green, blue = reflect(at, bleeding)[:, bleeding.mask].mean(axis=1)
    assert red > 3 * green and red > 3 * blue
