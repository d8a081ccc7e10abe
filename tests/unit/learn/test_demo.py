"""The demonstration model's pieces fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from dualsight.errors import OutputError
from dualsight.learn import demo
from dualsight.learn.phantom.pairs import draw_pairs
from dualsight.learn.phantom.questions import CLASSES


def test_the_demo_batches_hold_pictures_with_their_captions() -> None:
    config = demo.MODEL
    n = 2 * demo.BATCH
    images = np.zeros((n, 112, 112, 3), np.uint8)
    images[:2] = 255
    captions = [["white"] * demo.CAPTIONS_EACH] * 2 + [["black"] * demo.CAPTIONS_EACH] * (n - 2)
    places = np.zeros((n, demo.CELLS**2), np.bool_)
    places[:2, 3] = True
    drawn = demo.Drawn(images, captions, np.ones(n, np.int64), np.full(n, ""), places)
    batches = demo.batches(drawn, config, np.random.default_rng(0))
    batch = max((next(batches) for _ in range(2)), key=lambda batch: float(batch.pixels.mean()))  # one epoch
    assert len(batch.input_ids) > len(batch.pixels) == demo.BATCH
    assert int(batch.classes.max()) < len(batch.input_ids) - demo.BATCH
    white = batch.pixels.mean((1, 2, 3)) > 0
    assert int(white.sum()) == 2  # the patient's two pictures, together
    assert batch.found[white].nonzero()[:, 1].tolist() == [3, 3]
    assert torch.equal(batch.cells, batch.found.long())  # class 1 is the first modality's first finding
    assert len(set(batch.labels[~white].tolist())) == 1
    assert batch.labels[white].unique().item() != batch.labels[~white][0].item()
    top = (1 - np.array(config.preprocessing.mean)) / np.array(config.preprocessing.std)
    np.testing.assert_allclose(batch.pixels[white][0].mean((1, 2)), top, rtol=1e-5)


def test_a_drawn_chunk_knows_its_classes_and_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "CHUNK", 12)
    drawn = demo.draw_chunk((12, 1))
    assert drawn.images.shape == (12, 112, 112, 3)
    phantoms = draw_pairs(6, 6, size=112, modalities=demo.TAUGHT)
    for phantom, number, side, places in zip(phantoms, drawn.classes, drawn.sides, drawn.places, strict=True):
        assert CLASSES[number] == (phantom.modality, phantom.finding)
        assert side == (phantom.side or "")
        rows, columns = (phantom.mask.nonzero()[i] // 16 for i in (0, 1))
        assert set(np.flatnonzero(places)) == set((demo.CELLS * rows + columns).tolist())


def test_what_is_derived_is_what_the_shipped_model_was_trained_with() -> None:
    assert (demo.CELLS, demo.RECIPE.steps(demo.PICTURES)) == (7, 5000)


def test_a_folder_that_cannot_be_made_is_told_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: object) -> demo.Drawn:
        raise AssertionError("drawn")

    monkeypatch.setattr(demo, "draw_all", never)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="no folder can be made"):
        demo.make(tmp_path / "file" / "demo", console=Console(quiet=True))
