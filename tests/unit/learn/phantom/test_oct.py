"""Retinal OCT phantoms: the order of the layers, and what each finding does to them."""

import numpy as np
import pytest

from dualsight.learn.phantom import macula, oct
from dualsight.learn.phantom.base import Drawing

(MODALITY,) = oct.MODALITIES
Z = (oct.HEIGHT * (np.arange(400, dtype=np.float32) + 0.5) / 400)[:, None]


def drawn(patient: int, finding: str | None, *, acquisition: int = 7, size: int = 96) -> Drawing:
    return oct.draw(np.random.default_rng(patient), np.random.default_rng(acquisition), "", finding, size)


def scan(patient: int, finding: str | None = None) -> tuple[macula.Retina, macula.Stack]:
    x = np.linspace(-2.8, 2.8, 301, dtype=np.float32)
    retina = macula.retina(np.random.default_rng(patient), x)
    if finding:
        oct.FINDINGS[finding](np.random.default_rng(patient), retina)
    return retina, macula.stack(retina, Z, soft=0.01)


@pytest.mark.parametrize("finding", (None, *MODALITY.findings))
def test_layers_keep_their_order(finding: str | None) -> None:
    for patient in range(8):
        _, stack = scan(patient, finding)
        depths = np.stack([stack.tops[name] for name in macula.LAYERS])  # [13, W]
        assert (np.diff(depths, axis=0) >= -1e-6).all()


def test_the_fovea_is_a_pit_without_inner_layers() -> None:
    for patient in range(8):
        retina, stack = scan(patient)
        fovea, beside = np.abs(retina.x) < 0.1, np.abs(np.abs(retina.x) - 1.1) < 0.1
        assert retina.thickness["gcl"][fovea].max() < 0.3 * retina.thickness["gcl"][beside].min()
        total = retina.bruch - stack.tops["nfl"]
        assert 0.10 < total[fovea].min() < 0.8 * total[beside].mean() < 0.4  # mm


def test_bands_alternate_as_in_histology() -> None:
    """From the vitreous: nerve fibres bright, ganglion cells and their synapses, nuclei dark, synapses bright …"""
    for patient in range(8):
        retina, stack = scan(patient)
        light = oct._reflected(retina, stack, ())[:, np.abs(retina.x - 1.2).argmin()]
        column = {name: float(top[np.abs(retina.x - 1.2).argmin()]) for name, top in stack.tops.items()}
        names = ("nfl", "inl", "opl", "onl", "ez", "outer", "rpe")
        middles = [column[name] + float(retina.thickness[name].max()) * 0.3 for name in names]
        assert middles == sorted(middles)
        nfl, inl, opl, onl, ez, outer, rpe = (float(np.interp(m, Z[:, 0], light)) for m in middles)
        assert nfl > inl < opl > onl < ez > outer < rpe


def test_epithelium_and_photoreceptors_reflect_most() -> None:
    order = sorted(macula.REFLECTIVITY, key=lambda name: macula.REFLECTIVITY[name])
    assert order[-3:] == ["nfl", "ez", "rpe"]
    assert order[0] == "onl"


@pytest.mark.parametrize("finding", ["macular edema", "subretinal fluid", "macular hole"])
def test_fluid_is_dark(finding: str) -> None:
    for patient in range(6):
        ill, healthy = drawn(patient, finding, size=128), drawn(patient, None, size=128)
        rows = np.nonzero(ill.mask)[0]
        beside = healthy.pixels[rows.min() : rows.max() + 1]
        assert np.median(ill.pixels[ill.mask]) < 0.6 * np.median(beside[beside > 60])


def test_atrophy_lets_light_into_the_choroid() -> None:
    for patient in range(6):
        ill, healthy = drawn(patient, "geographic atrophy"), drawn(patient, None)
        columns = ill.mask.any(axis=0)
        below = int(np.nonzero(ill.mask)[0].max()) + 1
        if below < 90:
            assert ill.pixels[below:, columns].mean() > 1.15 * healthy.pixels[below:, columns].mean()


def test_drusen_and_detachment_raise_the_epithelium_and_edema_the_surface() -> None:
    for patient in range(8):
        for finding, least in (("drusen", 0.04), ("pigment epithelial detachment", 0.15)):
            retina, stack = scan(patient, finding)
            raised = retina.bruch - retina.thickness["rpe"] - stack.tops["rpe"]
            assert least < raised.max() < 0.4
        _, swollen = scan(patient, "macular edema")
        _, normal = scan(patient)
        assert (normal.tops["nfl"] - swollen.tops["nfl"]).max() > 0.1
