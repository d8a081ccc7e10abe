from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_files import dicom_bytes
from dualsight.engine.base import AsyncEngine
from dualsight.errors import ConfigError, UnreadableImage
from dualsight.image.frame import FrameMeta
from dualsight.image.prepare import Preprocessing, normalise, resize
from dualsight.image.reading import Reading
from dualsight.task.embed import Embedded, Failed, embed_frames, embed_prepared
from dualsight.task.prepared import Prepared

PREPROCESSING = Preprocessing(height=12, width=10, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
RNG = np.random.default_rng(6)
PICTURES = [RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8) for _ in range(7)]
SIZE = Preprocessing(height=2, width=2, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
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


# A batch is begun before the last one is waited for, on a device of its own and on the processor.


class Device:
    """Gives each picture its first byte; writes down what it is asked for."""

    name, precision = "device", "bfloat16"

    def __init__(self) -> None:
        self.log: list[str] = []

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        raise AssertionError("bytes are sent")

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        raise NotImplementedError

    def start_images(
        self, pictures: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing
    ) -> Callable[[], NDArray[np.float32]]:
        assert preprocessing is SIZE
        firsts = np.array([picture[0, 0, 0] for picture in pictures], np.float32)
        self.log.append(f"start {firsts[0]:.0f}")

        def wait() -> NDArray[np.float32]:
            self.log.append(f"wait {firsts[0]:.0f}")
            return firsts[:, None]

        return wait


def pictures(n: int, bad: Sequence[int] = ()) -> Iterator[Prepared | Failed]:
    for i in range(n):
        if i in bad:
            yield Failed(index=i, source=str(i), error=UnreadableImage("broken", source=str(i)))
            continue
        resized = np.full((2, 2, 3), i, np.uint8)
        yield Prepared(index=i, source=str(i), frame_index=0, n_frames=1, meta=FrameMeta(), resized=resized)


@pytest.mark.parametrize("bad", [(), (1,), (2, 3), tuple(range(7))])
def test_results_are_in_order_and_failures_in_their_places(bad: tuple[int, ...]) -> None:
    device = Device()
    assert isinstance(device, AsyncEngine)
    results = list(embed_prepared(pictures(7, bad), device, SIZE, batch_size=2))
    assert [result.index for result in results] == list(range(7))
    assert [result.index for result in results if isinstance(result, Failed)] == list(bad)
    assert all(result.vector == [result.index] for result in results if isinstance(result, Embedded))


def test_a_batch_is_begun_before_the_last_one_is_waited_for() -> None:
    device = Device()
    list(embed_prepared(pictures(5), device, SIZE, batch_size=2))
    assert device.log == ["start 0", "start 2", "wait 0", "start 4", "wait 2", "wait 4"]


def test_what_the_device_raises_comes_in_its_batch_s_place() -> None:
    class Broken(Device):
        def start_images(
            self, pictures: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing
        ) -> Callable[[], NDArray[np.float32]]:
            wait = super().start_images(pictures, preprocessing)

            def waited() -> NDArray[np.float32]:
                if pictures[0][0, 0, 0] == 2:
                    raise RuntimeError("out of memory")
                return wait()

            return waited

    results = embed_prepared(pictures(6), Broken(), SIZE, batch_size=2)
    assert [next(results).index, next(results).index] == [0, 1]
    with pytest.raises(RuntimeError, match="out of memory"):
        next(results)


class Processor:
    """Gives each picture its first number; waits, while it computes, until `collected` is set."""

    name, precision = "processor", "float32"

    def __init__(self) -> None:
        self.collected = threading.Event()

    def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self.collected.wait(10), "nothing was collected meanwhile"
        return np.rint(255 * pixels[:, :1, 0, 0])

    def encode_texts(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        raise NotImplementedError


def test_the_next_batch_is_collected_while_a_processor_computes() -> None:
    engine = Processor()

    def watched() -> Iterator[Prepared | Failed]:
        for picture in pictures(7):
            if picture.index == 3:
                engine.collected.set()
            yield picture

    results = list(embed_prepared(watched(), engine, SIZE, batch_size=2))
    assert [float(result.vector[0]) for result in results if isinstance(result, Embedded)] == list(range(7))


@pytest.mark.parametrize("engine", [Device(), Processor()], ids=lambda engine: engine.name)
def test_what_the_pictures_raise_comes_after_the_batches_before_it(engine: Device | Processor) -> None:
    if isinstance(engine, Processor):
        engine.collected.set()

    def broken() -> Iterator[Prepared | Failed]:
        yield from pictures(4)
        raise RuntimeError("no more")

    results = embed_prepared(broken(), engine, SIZE, batch_size=2)
    assert [next(results).index for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="no more"):
        next(results)


def test_less_than_a_batch_needs_no_thread() -> None:
    threads: list[int] = []

    class Here(Processor):
        def encode_images(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            threads.append(threading.get_ident())
            return pixels[:, :1, 0, 0].copy()

    for n in (1, 3, 5):
        assert len(list(embed_prepared(pictures(n), Here(), SIZE, batch_size=4))) == n
    assert threads[:2] == [threading.get_ident()] * 2
    assert len(threads) == 4 and threading.get_ident() not in threads[2:]
