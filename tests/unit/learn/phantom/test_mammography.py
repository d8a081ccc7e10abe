"""Mammograms: the chest wall's side, the finding where the mask says, gland whiter than fat."""

import numpy as np
import pytest

from dualsight.learn.phantom import mammography
from dualsight.learn.phantom.base import Drawing

BREAST = mammography.MODALITIES[0]
SEEDS = range(4)


def draw(seed: int, finding: str | None, view: str = "craniocaudal", size: int = 128, shot: int = 7) -> Drawing:
    return BREAST.draw(np.random.default_rng(seed), np.random.default_rng(shot), view, finding, size)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("view", BREAST.views)
def test_chest_wall_of_a_left_breast_is_at_image_left(seed: int, view: str) -> None:
    drawing = draw(seed, "circumscribed mass", view)
    left, right = drawing.pixels[:, :64].mean(), drawing.pixels[:, 64:].mean()
    assert drawing.side == ("left" if left > right else "right")


@pytest.mark.parametrize("finding", ["spiculated mass", "circumscribed mass", "calcifications"])
@pytest.mark.parametrize("seed", SEEDS)
def test_dense_findings_are_whiter_than_the_breast_was(finding: str, seed: int) -> None:
    normal, found = draw(seed, None), draw(seed, finding)
    assert found.pixels[found.mask].mean() > normal.pixels[found.mask].mean() + 8


@pytest.mark.parametrize("seed", SEEDS)
def test_gland_attenuates_more_than_fat(seed: int) -> None:
    patient = np.random.default_rng(seed)
    scene = mammography._scene(mammography._breast(patient), patient, False, 144)
    shown = mammography._develop(scene, mammography.physics.Pose(), np.random.default_rng(0), 128)
    deep = (scene.thick > 0.99 * mammography.THICK)[8:-8, 8:-8]
    gland = scene.gland[8:-8, 8:-8]
    assert np.corrcoef(gland[deep], shown[deep])[0, 1] > 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_pectoral_muscle_is_seen_above_in_the_oblique_view(seed: int) -> None:
    drawing = draw(seed, "calcifications", "mediolateral oblique")
    corner = drawing.pixels[:20, :12] if drawing.side == "left" else drawing.pixels[:20, -12:]
    assert corner.mean() > 120
