"""Histology phantoms: stains that absorb as they should, nuclei where they should be."""

import numpy as np
import pytest

from dualsight.learn.phantom.histology import EOSIN, HAEMATOXYLIN, MODALITIES
from dualsight.learn.phantom.mucosa import mucosa

(MODALITY,) = MODALITIES


def draw(patient: int, acquisition: int, finding: str | None, size: int = 96):
    return MODALITY.draw(np.random.default_rng(patient), np.random.default_rng(acquisition), "h&e", finding, size)


def unmix(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Haematoxylin and eosin by least squares on optical density (colour deconvolution): two [S, S]."""
    density = -2 * np.log((pixels.astype(float) + 1) / 256)
    stains, *_ = np.linalg.lstsq(
        np.stack([HAEMATOXYLIN.ravel(), EOSIN.ravel()], axis=1), density.reshape(-1, 3).T, rcond=None
    )
    return stains[0].reshape(pixels.shape[:2]), stains[1].reshape(pixels.shape[:2])


def test_nuclei_are_bluer_than_stroma() -> None:
    for seed in range(4):
        pixels = draw(seed, seed, None, 128).pixels.astype(float)
        haematoxylin, eosin = unmix(pixels)
        nuclei = haematoxylin > np.quantile(haematoxylin, 0.95)
        stroma = (eosin > np.quantile(eosin, 0.8)) & (haematoxylin < np.median(haematoxylin))
        blueness = pixels[..., 2] / pixels[..., 0]
        assert blueness[nuclei].mean() > 1.2 * blueness[stroma].mean()
        assert pixels[nuclei].mean() < pixels[stroma].mean()


def test_crypt_nuclei_lie_at_the_base_of_the_epithelium() -> None:
    tissue = mucosa(np.random.default_rng(0))
    far = np.linalg.norm(tissue.nuclei.at[:, None] - tissue.crypts.centre[None], axis=2).min(axis=1)
    part = far / np.median(tissue.crypts.edge)
    assert 0.75 < np.median(part) < 0.95


@pytest.mark.parametrize(("finding", "more"), [("adenocarcinoma", 1.3), ("inflammation", 1.3)])
def test_cellular_lesions_hold_more_haematoxylin(finding: str, more: float) -> None:
    drawing = draw(2, 3, finding, 128)
    haematoxylin, _ = unmix(drawing.pixels)
    assert haematoxylin[drawing.mask].mean() > more * haematoxylin[~drawing.mask].mean()


def test_necrosis_loses_nuclei_and_gains_eosin() -> None:
    drawing = draw(2, 3, "necrosis", 128)
    haematoxylin, eosin = unmix(drawing.pixels)
    floor, nucleus = np.quantile(haematoxylin[~drawing.mask], (0.3, 0.97))  # exposure shifts all densities alike
    nuclear = haematoxylin > (floor + nucleus) / 2
    assert nuclear[drawing.mask].mean() < 0.3 * nuclear[~drawing.mask].mean()
    assert eosin[drawing.mask].mean() > 1.2 * eosin[~drawing.mask].mean()


@pytest.mark.parametrize("finding", ["mucin", "fat infiltration"])
def test_mucin_and_fat_let_light_through(finding: str) -> None:
    drawing = draw(2, 3, finding, 128)
    brightness = drawing.pixels.mean(axis=2)
    assert np.median(brightness[drawing.mask]) > np.median(brightness[~drawing.mask]) + 15
