"""Dermoscopy phantoms: lesions that obey the dermatoscopist's rules."""

import numpy as np

from dualsight.learn.phantom import dermoscopy
from dualsight.learn.phantom.dermoscopy import MODALITIES, Lesion, Scene, reflect, skin
from dualsight.learn.phantom.optics import Pose

(MODALITY,) = MODALITIES


def draw(patient: int, acquisition: int, finding: str | None, size: int = 96):
    return MODALITY.draw(np.random.default_rng(patient), np.random.default_rng(acquisition), "", finding, size)


def lesion(seed: int, finding: str, size: int = 128) -> tuple[Scene, Lesion]:
    pose = Pose(size=size, reach=1.6)
    u, v = pose.plane()
    scene = Scene(skin=skin(np.random.default_rng(seed)), pose=pose, u=u, v=v)
    return scene, dermoscopy.FINDINGS[finding](np.random.default_rng(seed), scene)


def mirrored_overlap(mask: np.ndarray) -> float:
    """How well a mask lies on itself turned by half a turn, 0…1 (intersection over union)."""
    rows, columns = np.nonzero(mask)
    shift = np.rint([64 - rows.mean(), 64 - columns.mean()]).astype(int)
    centred = np.roll(mask, shift, (0, 1))
    turned = np.roll(centred[::-1, ::-1], (1, 1), (0, 1))
    return float((centred & turned).sum() / (centred | turned).sum())


def test_melanoma_is_less_symmetric_than_a_nevus() -> None:
    overlap = {
        f: np.mean([mirrored_overlap(lesion(s, f)[1].mask) for s in range(6)])
        for f in ("melanoma", "melanocytic nevus")
    }
    assert overlap["melanocytic nevus"] > 0.85
    assert overlap["melanoma"] < overlap["melanocytic nevus"] - 0.08


def test_melanoma_has_more_colours_than_a_nevus() -> None:
    spread = {}
    for finding in ("melanoma", "melanocytic nevus"):
        scene, found = lesion(1, finding)
        red, _, blue = reflect(scene, found)[:, found.mask]
        spread[finding] = np.std(red - blue)
    assert spread["melanoma"] > 1.5 * spread["melanocytic nevus"]


def test_melanin_takes_blue_and_blood_takes_green() -> None:
    scene, nevus = lesion(0, "melanocytic nevus")
    plain = reflect(scene, Lesion(mask=nevus.mask))
    red, green, blue = (reflect(scene, nevus) / plain)[:, nevus.mask].mean(axis=1)
    assert red > green > blue
    scene, angioma = lesion(0, "angioma")
    red, green, blue = (reflect(scene, angioma) / reflect(scene, Lesion(mask=angioma.mask)))[:, angioma.mask].mean(
        axis=1
    )
    assert red > 1.5 * green and red > 1.5 * blue


def test_deep_pigment_looks_blue() -> None:
    scene, found = lesion(0, "basal cell carcinoma")
    assert found.deep is not None
    nest = found.deep > 0.8
    red, _, blue = reflect(scene, found)[:, nest].mean(axis=1)
    assert blue > red


def test_the_skin_does_not_depend_on_what_is_shown() -> None:
    one, other = draw(5, 6, None, 128), draw(5, 6, "melanocytic nevus", 128)
    rows, columns = np.nonzero(other.mask)
    far = np.ones_like(other.mask)
    far[max(rows.min() - 12, 0) : rows.max() + 12, max(columns.min() - 12, 0) : columns.max() + 12] = False
    assert far.any()
    assert np.abs(one.pixels.astype(int) - other.pixels)[far].max() <= 2
