from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_files import dicom_bytes
from dualsight.errors import ConfigError
from dualsight.image.prepare import Preprocessing, normalise, resize
from dualsight.image.reading import Reading
from dualsight.task.embed import Embedded, Failed, embed_frames, embed_prepared

PREPROCESSING = Preprocessing(height=12, width=10, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
RNG = np.random.default_rng(6)
PICTURES = [RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8) for _ in range(7)]
CINE = dicom_bytes(RNG.integers(0, 4096, (5, 20, 20), dtype=np.uint16))


class Means:
    """An encoder whose vector is the mean of each channel; it remembers what it was given."""

    name = "means"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        assert pixels.dtype == np.float32
        assert pixels.flags.c_contiguous
        self.shapes.append(pixels.shape)
        return np.asarray(pixels.mean((2, 3)))

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        raise NotImplementedError


def embed(images: Any, engine: Means, **options: Any) -> list[Embedded | Failed]:
    return list(embed_frames(images, engine, PREPROCESSING, reading=Reading(), **options))


def test_each_picture_gets_its_own_vector_in_order() -> None:
    engine = Means()
    found = embed(PICTURES, engine, batch_size=3)
    assert engine.shapes == [(3, 3, 12, 10), (3, 3, 12, 10), (1, 3, 12, 10)]
    assert [item.index for item in found] == list(range(7))
    for item, picture in zip(found, PICTURES, strict=True):
        assert isinstance(item, Embedded)
        expected = normalise(resize(picture, PREPROCESSING), PREPROCESSING).mean((1, 2))
        np.testing.assert_allclose(item.vector, expected, rtol=1e-5)


def test_a_failure_takes_nobody_s_vector() -> None:
    engine = Means()
    found = embed([PICTURES[0], b"no picture", PICTURES[1], CINE[:-500], PICTURES[2]], engine, batch_size=4)
    assert [type(item) for item in found] == [Embedded, Failed, Embedded, *[Embedded] * 4, Failed, Embedded]
    assert [item.index for item in found] == [0, 1, 2, 3, 3, 3, 3, 3, 4]
    last = found[-1]
    assert isinstance(last, Embedded)
    expected = normalise(resize(PICTURES[2], PREPROCESSING), PREPROCESSING).mean((1, 2))
    np.testing.assert_allclose(last.vector, expected, rtol=1e-5)


def test_failures_alone_are_not_computed() -> None:
    engine = Means()
    assert [type(item) for item in embed([b"", b"no picture"], engine)] == [Failed, Failed]
    assert engine.shapes == []


def test_frames_say_where_they_come_from() -> None:
    found = embed([CINE], Means())
    assert [(item.frame_index, item.n_frames) for item in found if isinstance(item, Embedded)] == [
        (i, 5) for i in range(5)
    ]
    assert {item.source for item in found} == {"image 0"}
    assert {item.meta.modality for item in found if isinstance(item, Embedded)} == {"CT"}


def test_an_encoder_s_error_is_raised() -> None:
    class Broken(Means):
        def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            raise MemoryError("no room for a batch")

    with pytest.raises(MemoryError, match="no room") as raised:
        embed(PICTURES, Broken())
    # also while somebody holds its traceback, and so the stream
    assert raised.tb is not None
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("dualsight-ahead")]


def test_no_more_is_opened_than_two_batches_ahead() -> None:
    opened = 0

    def endless() -> Iterator[NDArray[np.uint8]]:
        nonlocal opened
        while True:
            opened += 1
            yield PICTURES[0]

    stream = embed_frames(endless(), Means(), PREPROCESSING, reading=Reading(), batch_size=2, workers=64)
    for _ in range(10):
        next(stream)
    assert opened <= 10 + 2 + 2 * 2
    stream.close()  # type: ignore[attr-defined]  # an iterator made by a generator


def test_a_batch_of_no_pictures_is_refused() -> None:
    with pytest.raises(ConfigError, match="a batch of 0 pictures"):
        embed_prepared([], Means(), PREPROCESSING, batch_size=0)
    with pytest.raises(ConfigError, match="a batch of -1 pictures"):
        embed(PICTURES, Means(), batch_size=-1)
