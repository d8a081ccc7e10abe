"""Two pictures of a patient tell the finding, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from dualsight.learn.phantom.catalogue import MODALITIES, Phantom, draw
from dualsight.learn.phantom.pairs import blurred, draw_pairs, exchanged, partly_hidden

SIZE = 96
CHEST = MODALITIES[0]


def drawn(finding: str | None) -> Phantom:
    return draw(CHEST, CHEST.views[0], finding, patient=3, size=SIZE)


@pytest.fixture
def found() -> Phantom:
    return drawn("lung nodule")


@pytest.fixture
def healthy() -> Phantom:
    return drawn(None)


def far(*phantoms: Phantom) -> np.ndarray:
    """bool [S, S]: further from all their findings than any margin."""
    mask = np.any([phantom.mask for phantom in phantoms], axis=0)
    return ndimage.distance_transform_edt(~mask) > 0.03 * SIZE


def test_both_are_of_one_patient_and_view_and_differ_in_the_finding() -> None:
    pairs = list(draw_pairs(5, 40, size=64))
    assert [p.patient for p in pairs] == [patient for patient in range(5, 45) for _ in range(2)]
    for first, second in zip(pairs[::2], pairs[1::2], strict=True):
        assert (first.modality, first.view) == (second.modality, second.view)
    alike = [first for first, second in zip(pairs[::2], pairs[1::2], strict=True) if first.finding == second.finding]
    assert len(alike) <= 6 and all(p.finding is None for p in alike)  # blurred until the finding was gone
    normal = sum(p.finding is None for p in pairs)
    assert 12 <= normal <= 36  # a quarter of the first, and half of the others' second


def test_the_same_numbers_give_the_same_pictures_some_of_them_plain_some_changed() -> None:
    first, again = (list(draw_pairs(5, 20, size=64)) for _ in range(2))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, again, strict=True))
    plain = [draw(p.modality, p.view, p.finding, patient=p.patient, size=64) for p in first]
    same = sum(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, plain, strict=True))
    assert 8 <= same <= 32


def test_what_is_exchanged_is_all_but_the_finding(found: Phantom, healthy: Phantom) -> None:
    here, gone = exchanged(found, healthy)
    assert np.array_equal(here.pixels[found.mask], found.pixels[found.mask])
    assert np.array_equal(gone.pixels[found.mask], healthy.pixels[found.mask])
    assert np.array_equal(here.pixels[far(found)], healthy.pixels[far(found)])
    assert np.array_equal(gone.pixels[far(found)], found.pixels[far(found)])
    assert (here.finding, gone.finding) == ("lung nodule", None)


def test_what_is_hidden_is_hidden_in_both_and_never_a_finding(found: Phantom) -> None:
    other = drawn("pleural effusion")
    first, second = partly_hidden(found, other, np.random.default_rng(0))
    either = found.mask | other.mask
    assert np.array_equal(first.pixels[either], found.pixels[either])
    assert np.array_equal(second.pixels[either], other.pixels[either])
    changed = (first.pixels != found.pixels).any(2)
    assert 0.1 < changed.mean() < 0.95

    rng = np.random.default_rng(1)
    first, second = partly_hidden(found, found, rng)
    assert np.array_equal(first.pixels, second.pixels)


def test_pictures_without_any_finding_are_hidden_anywhere(healthy: Phantom) -> None:
    first, _ = partly_hidden(healthy, healthy, np.random.default_rng(0))
    assert (first.pixels != healthy.pixels).any()


def test_a_finding_finer_than_the_blur_is_gone_and_a_coarser_one_is_not(found: Phantom) -> None:
    radius = float(np.sqrt(found.mask.mean() / np.pi))
    gone, kept = blurred(found, 1.2 * radius), blurred(found, 0.8 * radius)
    assert gone.finding is None and gone.side is None and not gone.mask.any()
    assert (kept.finding, kept.side) == (found.finding, found.side)
    assert np.array_equal(kept.mask, found.mask)
    for phantom in (gone, kept):
        assert phantom.pixels.astype(float).std() < found.pixels.astype(float).std()


def test_modalities_come_in_turn_as_often_as_they_are_named() -> None:
    chest, abdomen = MODALITIES[:2]
    pairs = list(draw_pairs(5, 6, size=64, modalities=(chest, abdomen, abdomen)))
    assert [p.modality for p in pairs[::2]] == [chest, abdomen, abdomen] * 2
