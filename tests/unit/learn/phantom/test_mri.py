"""Brain MRI phantoms: the spin-echo equation, findings where the mask says, one anatomy in all sequences."""

import numpy as np
import pytest

from dualsight.learn.phantom import brain, mri
from dualsight.learn.phantom.base import Drawing

(MODALITY,) = mri.MODALITIES
BRIGHT_ON_FLAIR = ("brain tumor", "acute infarct", "multiple sclerosis", "subdural hematoma")


def drawn(patient: int, view: str, finding: str | None, *, acquisition: int = 7, size: int = 96) -> Drawing:
    rngs = np.random.default_rng(patient), np.random.default_rng(acquisition)
    return mri.draw(*rngs, view, finding, size)


def signal(view: str, tissue: mri.Tissue) -> float:
    return mri.SEQUENCES[view].signal(tissue)


def test_contrast_of_normal_tissue_by_sequence() -> None:
    assert signal("axial t1", mri.FLUID) < signal("axial t1", mri.GREY) < signal("axial t1", mri.WHITE)
    assert signal("axial t2", mri.WHITE) < signal("axial t2", mri.GREY) < signal("axial t2", mri.FLUID)
    assert signal("axial flair", mri.FLUID) < 0.1 * signal("axial flair", mri.GREY)
    assert signal("axial t1", mri.FAT) > 1.5 * signal("axial t1", mri.WHITE)


def test_contrast_of_blood_by_age() -> None:
    for blood in (mri.EARLY_BLOOD, mri.LATE_BLOOD):
        assert signal("axial t1", blood) > 1.3 * signal("axial t1", mri.WHITE)
    assert signal("axial t2", mri.EARLY_BLOOD) < signal("axial t2", mri.WHITE) < signal("axial t2", mri.LATE_BLOOD)


def test_signal_is_the_spin_echo_equation() -> None:
    plain = mri.Sequence(500, 20, 0, 1)
    expected = 0.5 * (1 - np.exp(-500 / 1000)) * np.exp(-20 / 80)
    assert plain.signal(mri.Tissue(0.5, 1000, 80)) == pytest.approx(expected)


@pytest.mark.parametrize("finding", MODALITY.findings)
def test_side_is_radiological(finding: str) -> None:
    for patient in range(12):
        picture = drawn(patient, "axial t2", finding)
        column = np.nonzero(picture.mask)[1].mean() / 96
        if finding in ("multiple sclerosis", "hydrocephalus"):
            assert picture.side is None
        else:
            assert picture.side == ("right" if column < 0.5 else "left")  # image left is patient right


def test_one_patient_keeps_one_anatomy_in_every_sequence_and_size() -> None:
    masks = [drawn(11, view, "brain tumor").mask for view in MODALITY.views]
    assert all(np.array_equal(masks[0], mask) for mask in masks)
    large = drawn(11, "axial t1", "brain tumor", size=192).mask
    assert np.mean(large[::2, ::2] != masks[0]) < 0.02


@pytest.mark.parametrize("finding", BRIGHT_ON_FLAIR)
def test_lesions_shine_on_flair(finding: str) -> None:
    for patient in range(6):
        ill, healthy = drawn(patient, "axial flair", finding), drawn(patient, "axial flair", None)
        inside = ill.pixels[ill.mask].mean()
        assert inside > 1.25 * healthy.pixels[ill.mask].mean()


def test_a_cyst_follows_the_fluid() -> None:
    for patient in range(6):
        t2, flair = (drawn(patient, view, "arachnoid cyst") for view in ("axial t2", "axial flair"))
        assert t2.pixels[t2.mask].mean() > 180
        assert flair.pixels[flair.mask].mean() < 40


def test_ventricles_are_larger_in_hydrocephalus_than_in_any_healthy_head() -> None:
    line = np.linspace(-1, 1, 96, dtype=np.float32)
    x, y = np.meshgrid(line, -line)
    normal = []
    for patient in range(20):
        head = brain.head(np.random.default_rng(patient))
        normal.append((brain.ventricles(head, brain.space(head, x, y, 0.02)) > 0).sum())
    wide = [drawn(patient, "axial t1", "hydrocephalus").mask.sum() for patient in range(20)]
    assert min(wide) > 1.2 * max(normal)
