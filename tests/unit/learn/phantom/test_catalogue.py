"""What holds of every modality and finding: size, mask, repeatability, and a change where the mask is."""

from __future__ import annotations

import numpy as np
import pytest

from dualsight.learn.phantom.base import Drawing, Modality
from dualsight.learn.phantom.catalogue import HELD_OUT, MODALITIES, draw, draw_many

FOUND = [pytest.param(m, finding, id=f"{m.name} {finding}") for m in MODALITIES for finding in m.findings]
ALL = [pytest.param(m, None, id=m.name) for m in MODALITIES] + FOUND
CHANGE = {"histopathology": 2, "ct": 3, "x-ray": 3}
"""How many times more a finding changes its own place than the rest of the picture; in other modalities 4."""
WIDE = {"ultrasound", "oct", "mri", "support devices", "atelectasis", "pneumothorax", "pulmonary edema"}
"""These change much beside their mask: a shadow behind a stone, a shifted midline, what a collapsed lung draws."""

SIDELESS = {"ultrasound", "oct", "dermoscopy", "histopathology", "endoscopy"}

LAST = {"x-ray", "ct", "mammography"}
"""Here the finding is drawn by the patient's own generator, when all else has been."""


def drawn(modality: Modality, finding: str | None, *, patient: int = 3, shot: int = 4, size: int = 96) -> Drawing:
    return modality.draw(np.random.default_rng(patient), np.random.default_rng(shot), modality.views[0], finding, size)


@pytest.mark.parametrize(("modality", "finding"), ALL)
def test_pixels_and_mask_have_the_size_asked_for(modality: Modality, finding: str | None) -> None:
    for size in (64, 96, 200):
        drawing = drawn(modality, finding, patient=1, shot=2, size=size)
        assert drawing.pixels.shape in ((size, size), (size, size, 3)) and drawing.pixels.dtype == np.uint8
        assert drawing.mask.shape == (size, size) and drawing.mask.dtype == np.bool_
        assert drawing.mask.any() == (finding is not None)
        assert drawing.side is None or modality.name not in SIDELESS


@pytest.mark.parametrize(("modality", "finding"), ALL)
def test_the_same_generators_draw_the_same_in_every_view(modality: Modality, finding: str | None) -> None:
    for view in modality.views:
        one, two = (
            modality.draw(np.random.default_rng(3), np.random.default_rng(7), view, finding, 96) for _ in range(2)
        )
        np.testing.assert_array_equal(one.pixels, two.pixels)
        np.testing.assert_array_equal(one.mask, two.mask)
        assert one.side == two.side


@pytest.mark.parametrize(("modality", "finding"), ALL)
def test_another_patient_or_acquisition_is_another_picture(modality: Modality, finding: str | None) -> None:
    first = drawn(modality, finding)
    assert (drawn(modality, finding, shot=5).pixels != first.pixels).any()
    assert (drawn(modality, finding, patient=6).pixels != first.pixels).any()


@pytest.mark.parametrize(("modality", "finding"), FOUND)
def test_every_patient_has_the_finding_in_sight(modality: Modality, finding: str) -> None:
    for patient in range(6):
        assert drawn(modality, finding, patient=patient, shot=patient).mask.sum() >= 4


@pytest.mark.parametrize(("modality", "finding"), FOUND)
def test_a_finding_changes_the_picture_where_its_mask_is(modality: Modality, finding: str) -> None:
    for patient in range(3):
        ill, healthy = (drawn(modality, f, patient=patient, shot=7, size=128) for f in (finding, None))
        change = np.abs(ill.pixels.astype(float) - healthy.pixels).reshape(128, 128, -1).mean(axis=2)
        least = 1.2 if {modality.name, finding} & WIDE else CHANGE.get(modality.name, 4)
        assert change[ill.mask].mean() > least * change[~ill.mask].mean()


@pytest.mark.parametrize(("modality", "finding"), [case for case in FOUND if case.values[0].name not in LAST])
def test_a_finding_leaves_the_patients_generator_as_it_was(modality: Modality, finding: str) -> None:
    patients = [np.random.default_rng(5) for _ in range(2)]
    for patient, shown in zip(patients, (finding, None), strict=True):
        modality.draw(patient, np.random.default_rng(6), modality.views[0], shown, 64)
    assert patients[0].random() == patients[1].random()


def test_phantoms_are_their_numbers() -> None:
    for modality in MODALITIES:
        first = draw(modality, modality.views[0], modality.findings[0], patient=HELD_OUT, size=64)
        again = draw(modality, modality.views[0], modality.findings[0], patient=HELD_OUT, size=64)
        assert np.array_equal(first.pixels, again.pixels)
        assert first.pixels.shape == (64, 64, 3)
        assert first.box is not None
        left, top, right, bottom = first.box
        assert first.mask[top:bottom, left:right].sum() == first.mask.sum()
    many = list(draw_many(5, 20, size=64))
    assert [p.modality for p in many[:10]] == list(MODALITIES)
    assert {p.finding is None for p in many} == {True, False}
