"""A manifest's pictures become vectors, each beside its example."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dualsight
from dualsight.errors import VectorsError
from dualsight.learn.embedded import embed_manifest, match
from dualsight.learn.manifest import Manifest, read_manifest
from dualsight.learn.vector_file import StoredVectors

NAMES = ("one.png", "sub/two.png", "three.png")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    (tmp_path / "sub").mkdir()
    for seed, name in enumerate(NAMES):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    table = tmp_path / "manifest.csv"
    table.write_text("path,label\none.png,a\nsub/two.png,b\nthree.png,a|b\n")
    return read_manifest(table)


def stored(sources: tuple[str, ...], fingerprint: str = "abc") -> StoredVectors:
    vectors = np.arange(len(sources) * 2, dtype=np.float32).reshape(-1, 2)
    return StoredVectors(path=Path("v.npz"), vectors=vectors, sources=sources, fingerprint=fingerprint)


def test_each_example_has_its_vector(recipe_folder: Callable[[str], Path], manifest: Manifest) -> None:
    model = dualsight.load(recipe_folder("davit"))
    embedded = embed_manifest(model, manifest)
    np.testing.assert_array_equal(embedded.vectors, model.encode_image([e.path for e in manifest.examples]))
    assert embedded.manifest == manifest
    np.testing.assert_array_equal(embedded.truth(), [[True, False], [False, True], [True, True]])


def test_a_bad_picture_is_left_out_by_name(recipe_folder: Callable[[str], Path], manifest: Manifest) -> None:
    bad = manifest.examples[1].path
    bad.write_bytes(bad.read_bytes()[:60])
    model = dualsight.load(recipe_folder("davit"))
    embedded = embed_manifest(model, manifest)
    assert [example.row for example in embedded.manifest.examples] == [2, 4]
    assert len(embedded.vectors) == 2
    (error,) = embedded.failed
    assert str(bad) in str(error)


def test_stored_vectors_are_found_by_the_tables_words_or_by_path(manifest: Manifest) -> None:
    for sources in (NAMES, tuple(str(example.path) for example in manifest.examples)):
        order = [2, 0, 1]
        given = stored((*(sources[i] for i in order), "elsewhere.png"))
        found = match(manifest, given, fingerprint="abc")
        np.testing.assert_array_equal(found.vectors, given.vectors[[1, 2, 0]])


def test_vectors_that_do_not_fit_are_refused(manifest: Manifest) -> None:
    with pytest.raises(VectorsError, match="made by the model other") as caught:
        match(manifest, stored(NAMES, "other"), fingerprint="abc")
    assert "--model" in caught.value.hint
    with pytest.raises(VectorsError, match=r"no vector for 2 of 3 pictures of .*three\.png") as caught:
        match(manifest, stored(NAMES[1:2]), fingerprint="abc")
    assert "dualsight embed" in caught.value.hint
    with pytest.raises(VectorsError, match=r"different vectors of one\.png"):
        match(manifest, stored((*NAMES, "one.png")), fingerprint="abc")


def test_a_file_that_was_embedded_twice_has_its_vector(manifest: Manifest) -> None:
    rows = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    rows[3] += np.float32(1e-5)  # another batch rounds differently
    given = StoredVectors(path=Path("v.npz"), vectors=rows, sources=(*NAMES, "./one.png"), fingerprint="abc")
    np.testing.assert_array_equal(match(manifest, given, fingerprint="abc").vectors, rows[:3])
