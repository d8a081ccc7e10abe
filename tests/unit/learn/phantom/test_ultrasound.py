"""Ultrasound phantoms: attenuation, enhancement, shadow, speckle, and where the findings are."""

import numpy as np
import pytest

from dualsight.learn.phantom import echo, ultrasound
from dualsight.learn.phantom.base import Drawing

(MODALITY,) = ultrasound.MODALITIES


def drawn(patient: int, finding: str | None, *, acquisition: int = 7, size: int = 96) -> Drawing:
    return ultrasound.draw(np.random.default_rng(patient), np.random.default_rng(acquisition), "", finding, size)


def below(mask: np.ndarray, rows: int) -> np.ndarray:
    """Pixels up to `rows` behind the mask along a beam, where the mask is highest; not the mask itself."""
    size = len(mask)
    column = int(mask.sum(axis=0).argmax())
    last = int(np.nonzero(mask[:, column])[0].max())
    slope = (column - size / 2) / (last + 0.27 * size)  # the beams' origin lies above the picture
    region = np.zeros_like(mask)
    for step in range(3, 3 + rows):
        middle = round(column + slope * step)
        region[last + step, middle - 1 : middle + 2] = True
    return region & ~mask


def test_outside_the_sector_is_black() -> None:
    pixels = drawn(1, None).pixels
    assert not pixels[:25, :8].any() and not pixels[:25, -8:].any()
    assert (pixels > 0).mean() > 0.35


def seen(loss: float, level: float, seed: int = 0) -> np.ndarray:
    """Grey levels [64, 64] along the beams of uniform tissue, with a block of other tissue in its middle."""
    tissue = echo.Tissue(np.full((64, 64), -4, np.float32), np.zeros((64, 64), np.float32))
    block = np.zeros((64, 64), np.float32)
    block[20:32, 20:44] = 1
    tissue.fill(block, level, loss)
    row, column = np.meshgrid(np.arange(64, dtype=np.float32), np.arange(64, dtype=np.float32), indexing="ij")
    return echo.imaged(np.random.default_rng(seed), tissue, row, column).astype(float)


def test_fluid_is_dark_and_what_lies_behind_is_bright() -> None:
    for seed in range(5):
        image = seen(echo.FLUID_LOSS, echo.FLUID_DB, seed)
        assert image[23:29, 25:39].mean() < 0.4 * image[23:29, :15].mean()
        assert image[38:60, 25:39].mean() > image[38:60, :15].mean() + 15


def test_behind_a_stone_is_shadow() -> None:
    for seed in range(5):
        image = seen(800.0, 17.0, seed)
        assert image[20, 25:39].mean() > image[20, :15].mean() + 20  # its surface; the inside is in its own shadow
        assert image[38:60, 25:39].mean() < 0.3 * image[38:60, :15].mean()


def test_gallstones_cast_their_shadow_in_the_picture() -> None:
    for patient in range(8):
        ill, healthy = drawn(patient, "gallstones"), drawn(patient, None)
        where = below(ill.mask, 12)
        assert ill.pixels[where].mean() < 0.7 * healthy.pixels[where].mean()


def test_a_cyst_is_anechoic_and_enhances() -> None:
    darker, brighter = [], []
    for patient in range(10):
        ill, healthy = drawn(patient, "simple cyst"), drawn(patient, None)
        darker.append(healthy.pixels[ill.mask].mean() - ill.pixels[ill.mask].mean())
        where = below(ill.mask, 8)
        brighter.append(ill.pixels[where].mean() - healthy.pixels[where].mean())
    assert np.median(darker) > 50
    assert np.median(brighter) > 8


def test_speckle_of_the_envelope_is_rayleigh_before_compounding() -> None:
    noise = np.random.default_rng(0).standard_normal((2, 200, 200)).astype(np.float32)
    blur = echo._gaussian(200, 1.0)
    power = sum((blur @ part @ blur.T) ** 2 for part in noise)
    amplitude = np.sqrt(power[20:-20, 20:-20])
    assert amplitude.mean() / amplitude.std() == pytest.approx(1.91, abs=0.08)  # Rayleigh: √(π / (4 − π))
    assert power[20:-20, 20:-20].mean() == pytest.approx(2.0, rel=0.08)  # the blur keeps the power
