"""Dermoscopy phantoms: lesions that obey the dermatoscopist's rules."""

import numpy as np
import pytest

from dualsight.learn.phantom import dermoscopy
from dualsight.learn.phantom.dermoscopy import MODALITIES, Lesion, Scene, reflect, skin
from dualsight.learn.phantom.optics import Pose

(MODALITY,) = MODALITIES
EVERY = (None, *MODALITY.findings)


def draw(patient: int, acquisition: int, finding: str | None, size: int = 96):
    return MODALITY.draw(np.random.default_rng(patient), np.random.default_rng(acquisition), "", finding, size)


def lesion(seed: int, finding: str, size: int = 128) -> tuple[Scene, Lesion]:
    pose = Pose(size=size, reach=1.6)
    u, v = pose.plane()
    scene = Scene(skin=skin(np.random.default_rng(seed)), pose=pose, u=u, v=v)
    return scene, dermoscopy.FINDINGS[finding](np.random.default_rng(seed), scene)


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
