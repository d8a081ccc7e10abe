"""CT of the abdomen: the order of Hounsfield units, findings where the mask says, the patient's side."""

import numpy as np
import pytest

from dualsight.learn.phantom import abdomen, ct
from dualsight.learn.phantom.base import Drawing

ABDOMEN = ct.MODALITIES[0]
SEEDS = range(4)


def draw(seed: int, finding: str | None, size: int = 128, shot: int = 7) -> Drawing:
    return ABDOMEN.draw(np.random.default_rng(seed), np.random.default_rng(shot), "axial", finding, size)


def anatomy(seed: int) -> abdomen.Slice:
    patient = np.random.default_rng(seed)
    s = abdomen.layout(abdomen.anatomy(patient), patient, 144)
    abdomen.fill_trunk(s)
    abdomen.fill_spine(s, patient)
    abdomen.fill_bowel(s, patient)
    abdomen.fill_organs(s, patient)
    return s


@pytest.mark.parametrize("finding", ["renal cyst", "kidney stone", "hydronephrosis"])
@pytest.mark.parametrize("seed", SEEDS)
def test_left_of_the_patient_is_at_image_right(finding: str, seed: int) -> None:
    drawing = draw(seed, finding)
    middle = np.nonzero(drawing.mask)[1].mean()
    assert drawing.side == ("left" if middle > 64 else "right")


@pytest.mark.parametrize("seed", SEEDS)
def test_tissues_stand_in_the_order_of_their_hounsfield_units(seed: int) -> None:
    s = anatomy(seed)
    centre = np.hypot(s.x, s.y - s.body.spine_y) < 0.04
    fat = (s.cavity < -0.085) & (np.abs(s.x) < 0.15) & (s.y < 0) & (s.hu > -900)
    air, fat_hu, liver, marrow = -1000, np.median(s.hu[fat]), np.median(s.hu[s.liver > 0.03]), s.hu[centre].mean()
    assert air < fat_hu < 0 < liver < marrow
    assert s.hu[0, 0] == air


@pytest.mark.parametrize("seed", SEEDS)
def test_liver_lies_at_image_left_and_spleen_at_image_right(seed: int) -> None:
    s = anatomy(seed)
    assert s.x[s.liver > 0].mean() < 0 < s.x[s.spleen > 0].mean()


@pytest.mark.parametrize("seed", SEEDS)
def test_cyst_holds_water_and_stone_calcium(seed: int) -> None:
    s = anatomy(seed)
    cyst = ct._renal_cyst(s, np.random.default_rng(seed), 1)
    assert -5 < np.median(s.hu[cyst]) < 20
    s = anatomy(seed)
    stone = ct._kidney_stone(s, np.random.default_rng(seed), 1)
    assert s.hu[stone].max() > 500


def test_part_shares_memory_with_the_slice() -> None:
    s = anatomy(0)
    part = s.near((0.3, -0.2), 0.1)
    assert np.abs(part.x - 0.3).max() < 0.15
    part.fill(np.ones_like(part.x), 777.0)
    assert np.isclose(s.hu, 777).sum() == part.x.size


def test_noise_of_reconstruction_has_little_power_at_low_frequency() -> None:
    noise = ct._reconstruction_noise(np.random.default_rng(0), 128)
    assert noise.std() == pytest.approx(1)
    power = np.abs(np.fft.fft2(noise)) ** 2
    f = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None, :])
    low, middle, high = (power[(f > a) & (f < b)].mean() for a, b in ((0.01, 0.03), (0.12, 0.18), (0.42, 0.5)))
    assert low < 0.5 * middle
    assert high < 0.5 * middle
