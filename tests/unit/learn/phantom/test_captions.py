"""Captions are true, and say more or less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dualsight.learn.phantom.captions import ABSENT, EXTENTS, SYNONYMS, caption, size
from dualsight.learn.phantom.catalogue import MODALITIES, Phantom, draw

CHEST = MODALITIES[0]


@pytest.fixture(scope="module")
def effusion() -> Phantom:
    return draw(CHEST, "anteroposterior", "pleural effusion", patient=1, size=64)


def captions(phantom: Phantom, n: int = 600) -> list[str]:
    rng = np.random.default_rng(0)
    return [caption(phantom, rng) for _ in range(n)]


def denied(text: str) -> str | None:
    """The finding that a caption says is not there."""
    for form in sorted(ABSENT, key=len, reverse=True):
        start = form.format("")
        if start in text:
            return text.split(start)[-1]
    return None


def test_a_caption_never_says_another_finding_side_or_size(effusion: Phantom) -> None:
    for side, mask, said in (("left", 0.0, "small"), ("right", 0.5, "large")):
        area = np.zeros(effusion.mask.shape, bool)
        area[: int(mask * 64)] = True
        one = replace(effusion, side=side, mask=area)
        for text in captions(one):
            assert {"left": "right", "right": "left"}[side] not in text
            assert {"small": "large", "large": "small"}[said] not in text
            assert denied(text) not in ("pleural effusion", *SYNONYMS["pleural effusion"])
            affirmed = text.removesuffix(denied(text) or "")
            for other in CHEST.findings:
                assert other == "pleural effusion" or other not in affirmed


def test_the_prompt_comes_most_often_and_side_size_synonym_and_negation_come_too(effusion: Phantom) -> None:
    texts = captions(replace(effusion, side="left", mask=np.ones((64, 64), bool)))
    assert max(set(texts), key=texts.count) == "x-ray chest anteroposterior pleural effusion"
    for word in ("left", "large", "pleural fluid", "radiograph", ", no ", "without"):
        assert any(word in text for text in texts), word
    assert sum("left" in text for text in texts) < sum("left" not in text for text in texts)


def test_a_normal_picture_is_said_to_have_nothing_or_lacks_something_by_name() -> None:
    texts = captions(draw(CHEST, "anteroposterior", None, patient=1, size=64))
    assert {"no finding", "normal"} <= set(texts)
    lacking = {denied(text) for text in texts} - {None}
    assert set(CHEST.findings) <= lacking
    assert not any("left" in text or "right" in text for text in texts)


def test_size_is_said_by_the_share_of_the_picture(effusion: Phantom) -> None:
    small, large = EXTENTS["pleural effusion"]
    sizes = []
    for percent in (small * 0.9, (small + large) / 2, large * 1.1):
        area = np.zeros(10_000, bool)
        area[: int(percent * 100)] = True
        sizes.append(size(replace(effusion, mask=area.reshape(100, 100))))
    assert sizes == ["small", None, "large"]
    assert size(draw(CHEST, "anteroposterior", "support devices", patient=1, size=64)) is None


def test_every_term_with_other_words_is_one_that_captions_use() -> None:
    findings = {finding for modality in MODALITIES for finding in modality.findings}
    assert set(SYNONYMS) <= findings | {m.name for m in MODALITIES} | {m.normal for m in MODALITIES}
    assert set(EXTENTS) <= findings
    others = [word for words in SYNONYMS.values() for word in words]
    assert not set(others) & findings
