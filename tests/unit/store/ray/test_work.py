"""What workers do, without a cluster: units opened and hashed by one, embedded by another."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualsight.errors import EngineError
from dualsight.image.frame import Frame
from dualsight.image.reading import Reading
from dualsight.image.source import Item
from dualsight.store.content import hash_unit
from dualsight.store.embed_units import Embeddings, Known, Unreached, outcomes
from dualsight.store.ray.work import PICTURES, Encoder, Job, Opener, load_on, sorted_hashes
from dualsight.task import prepared
from dualsight.task.decoder import Decoder
from dualsight.task.embed import Failed
from dualsight.task.model import Model
from dualsight.task.prepared import Prepared
from picture_files import write_frames


@pytest.fixture
def job(model: Model) -> Job:
    return Job(preprocessing=model.config.preprocessing, reading=Reading(), key=None, batch_size=4)


@pytest.fixture
def open_with(job: Job) -> Iterator[Callable[[set[str]], Opener]]:
    """An opener that knows some content; ended after the test."""
    made: list[Opener] = []

    def opener(known: set[str]) -> Opener:
        made.append(Opener(job, sorted_hashes(known)))
        return made[-1]

    yield opener
    for one in made:
        one.close()


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """A picture of more frames than fit into a message, a coloured one twice, one that is broken, one that is not."""
    rng = np.random.default_rng(0)
    write_frames(tmp_path / "frames.tif", [rng.integers(0, 255, (20, 20), np.uint8) for _ in range(PICTURES + 3)])
    Image.fromarray(rng.integers(0, 255, (20, 20, 3), np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes((tmp_path / "b.png").read_bytes())
    (tmp_path / "d.png").write_bytes((tmp_path / "b.png").read_bytes()[:60])
    return [Item(name=name, content=tmp_path / name) for name in ("frames.tif", "b.png", "c.png", "d.png", "e.png")]


def test_an_opener_and_an_encoder_make_what_one_process_makes(
    model: Model, open_with: Callable[[set[str]], Opener], items: list[Item]
) -> None:
    opener, encoder = open_with(set()), Encoder(lambda: model, 4)
    assert encoder.start(model.fingerprint)
    progress, pictures = opener.open(items)
    records, results = deque(progress.records), encoder.encode(pickle.loads(pickle.dumps(pictures)))  # noqa: S301
    assert len(pictures) == PICTURES and pictures[0].resized.shape[2] == 1 and not progress.is_last  # type: ignore[union-attr]
    while not progress.is_last:
        progress, pictures = opener.more()
        records += progress.records
        results += encoder.encode(pictures)
    made = list(outcomes(records, results))
    assert [type(outcome) for outcome in made] == [Embeddings, Embeddings, Known, Embeddings, Unreached]
    frames, colour, _, broken, missing = made
    assert isinstance(frames, Embeddings) and isinstance(colour, Embeddings) and isinstance(broken, Embeddings)
    expected = model.encode_image(items[0].content, per="frame")
    np.testing.assert_allclose([result.vector for result in frames.results], expected, atol=1e-5)  # type: ignore[union-attr]
    np.testing.assert_allclose(colour.results[0].vector, model.encode_image(items[1].content)[0], atol=1e-5)  # type: ignore[union-attr]
    assert isinstance(broken.results[0], Failed)
    assert isinstance(missing, Unreached) and missing.error.source == "e.png"


def test_what_the_table_has_is_not_opened(open_with: Callable[[set[str]], Opener], items: list[Item]) -> None:
    known = {hash_unit(item).content_hash for item in items[:2]} | {f"{number:064x}" for number in range(100)}
    progress, pictures = open_with(known).open(items[:3])
    assert pictures == [] and progress.is_last
    assert [type(record) for record in progress.records] == [Known, Known, Known]


def test_a_new_task_drops_what_is_left_of_the_last(open_with: Callable[[set[str]], Opener], items: list[Item]) -> None:
    opener = open_with(set())
    assert not opener.open(items)[0].is_last
    progress, pictures = opener.open(items[1:2])
    assert progress.is_last and len(progress.records) == 1
    assert [type(picture) for picture in pictures] == [Prepared]


def test_a_codec_that_ends_its_process_fails_one_file(
    open_with: Callable[[set[str]], Opener], items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(Decoder):
        def frames(self, content: Path | bytes, name: str) -> Iterator[Frame]:
            if name == "b.png":
                self.interrupt()
            return super().frames(content, name)

    monkeypatch.setattr(prepared, "Decoder", Dying)
    opener = open_with(set())
    _, pictures = opener.open([items[1], items[3], items[2]])  # the third is the first again
    assert [type(picture) for picture in pictures] == [Failed, Failed]
    _, pictures = opener.open([replace(items[1], name="another")])
    assert [type(picture) for picture in pictures] == [Prepared]


@pytest.mark.parametrize("digest", ["00" * 32, "ff" * 15 + "00" * 17, "ab" * 32])
def test_hashes_that_end_in_zeros(digest: str) -> None:
    from dualsight.store.ray.work import _KnownBefore

    hashes = {digest, "12" * 32}
    assert digest in _KnownBefore(sorted_hashes(hashes))
    assert digest not in _KnownBefore(sorted_hashes(hashes - {digest}))
    assert digest not in _KnownBefore(sorted_hashes(set()))


def test_another_model_or_version_is_refused(open_with: Callable[[set[str]], Opener]) -> None:
    with pytest.raises(EngineError, match="another model by the name of demo"):
        Encoder(partial(load_on, "demo", "float32", "cpu"), 1).start("f" * 64)
    with pytest.raises(EngineError, match="dualsight"):
        open_with(set()).start("0.0.0")
