"""Endoscopy phantoms: a dark lumen, a lamp beside the lens, and lesions on the wall."""

import numpy as np

from dualsight.learn.phantom import endoscopy
from dualsight.learn.phantom.endoscopy import MODALITIES, Lesion, Scene, bowel, reflect
from dualsight.learn.phantom.optics import Pose

(MODALITY,) = MODALITIES


def draw(patient: int, acquisition: int, finding: str | None, size: int = 96):
    return MODALITY.draw(np.random.default_rng(patient), np.random.default_rng(acquisition), "", finding, size)


def scene(seed: int) -> Scene:
    pose = Pose(size=128, reach=1.0)
    u, v = pose.plane()
    return Scene(
        bowel=bowel(np.random.default_rng(seed)), pose=pose, u=u, v=v, r=np.hypot(u, v), theta=np.arctan2(v, u)
    )


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
