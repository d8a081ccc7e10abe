"""Fundus phantoms: whose truth is known, and whose light obeys haemoglobin."""

import numpy as np
import pytest

from dualsight.learn.phantom import fundus
from dualsight.learn.phantom.fundus import MODALITIES, Lesion, reflect
from dualsight.learn.phantom.optics import Pose
from dualsight.learn.phantom.retina import Scene, retina

(MODALITY,) = MODALITIES


def draw(patient: int, acquisition: int, finding: str | None, view: str = "right eye", size: int = 96):
    return MODALITY.draw(np.random.default_rng(patient), np.random.default_rng(acquisition), view, finding, size)


def scene(seed: int, size: int = 128, mirror: bool = False) -> Scene:
    eye = retina(np.random.default_rng(seed))
    pose = Pose(size=size, reach=1.5, u=0.5, mirror=mirror)
    u, v = pose.plane()
    return Scene(eye=eye, pose=pose, u=u, v=v, rho=np.hypot(u / np.float32(eye.oval), v) / np.float32(eye.disc))


def healthy(at: Scene) -> Lesion:
    return Lesion(mask=np.zeros(at.u.shape, np.bool_))


def test_eyes_mirror_each_other() -> None:
    right, left = scene(0), scene(0, mirror=True)
    pair = [reflect(s, healthy(s)) for s in (right, left)]
    disc_columns = [np.nonzero(s.rho < 1)[1].mean() for s in (right, left)]
    assert disc_columns[0] < 64 < disc_columns[1]
    assert pair[0].shape == (3, 128, 128)


def test_the_disc_is_on_the_nasal_side() -> None:
    """In a right eye's photograph the disc lies to the right of the macula."""
    for view, sign in (("right eye", 1), ("left eye", -1)):
        column = np.mean([np.nonzero(draw(s, s, "glaucoma", view=view).mask)[1].mean() for s in range(4)])
        assert sign * (column - 48) > 8


def test_vessels_are_darker_in_green_than_in_red(monkeypatch: pytest.MonkeyPatch) -> None:
    at = scene(0)
    with_vessels = reflect(at, healthy(at))
    monkeypatch.setattr(fundus, "_blood", lambda scene, veins, widen: np.zeros_like(scene.u))
    kept = with_vessels / reflect(at, healthy(at))  # what the vessels let through
    vessel = (kept[1] < 0.6) & (at.rho > 1.2)
    assert vessel.sum() > 300
    assert (kept[0] > kept[1])[vessel].all()


def test_the_cup_grows_in_glaucoma_only() -> None:
    """Measured as a reader would: the width of what is pale within the disc."""
    for seed in range(6):
        at = scene(seed)
        sick = fundus.FINDINGS["glaucoma"](np.random.default_rng(seed), at)
        ratio = np.sqrt(sick.mask.sum() / (at.rho < 1).sum())
        assert sick.cup is not None and 0.7 < sick.cup < 0.92
        assert ratio == pytest.approx(sick.cup, abs=0.06)
        assert at.eye.cup < 0.45


def test_haemorrhages_are_dark_and_exudates_bright() -> None:
    at = scene(2)
    plain = reflect(at, healthy(at)).mean(axis=0)
    for finding, sign in (("diabetic retinopathy", -1), ("retinal vein occlusion", -1), ("hard exudates", 1)):
        lesion = fundus.FINDINGS[finding](np.random.default_rng(0), at)
        change = reflect(at, lesion).mean(axis=0) - plain
        assert sign * np.median(change[lesion.mask]) > 0.08, finding


def test_the_eye_does_not_depend_on_what_is_shown() -> None:
    one, other = draw(5, 6, None), draw(5, 6, "hard exudates")
    same = (np.abs(one.pixels.astype(int) - other.pixels).max(axis=2) <= 2).mean()
    assert same > 0.85


def test_outside_the_aperture_it_is_black() -> None:
    drawing = draw(0, 0, "laser scars", size=128)
    assert drawing.pixels[:3, :3].max() < 40
    assert not drawing.mask[:3, :3].any()
