from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import dualsight
from dualsight.errors import UnreadableImage, UnsupportedImage
from dualsight.image import Item
from dualsight.interface.client import upload
from dualsight.interface.client.upload import Batch, Upload, batches
from dualsight.task.prepared import Failed
from picture_files import png

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
PNG = png(PIXELS)


def only(images: object) -> Upload | Failed:
    ((item,),) = batches(images, 8)  # type: ignore[arg-type]
    return item


def content(images: object) -> bytes:
    item = only(images)
    assert isinstance(item, Upload)
    return item.content


def test_files_and_bytes_are_sent_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "MUSTERMANN.png"
    file.write_bytes(PNG)
    for image in (file, str(file), PNG, bytearray(PNG), memoryview(PNG), io.BytesIO(PNG)):
        assert content(image) == PNG, type(image)
    assert content(Item(name="a", content=file)) == PNG
    assert content(Item(name="a", content=partial(bytes, PNG))) == PNG


def test_a_file_has_the_name_its_owner_gave_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    assert only(tmp_path / "a.png").source == str(tmp_path / "a.png")
    assert only(PNG).source == "image 0"


def test_pixels_arrive_as_they_are() -> None:
    (frame,) = dualsight.image.open(PIXELS)
    for image in (PIXELS, Image.fromarray(PIXELS), frame, PIXELS[..., 0], PIXELS.astype(np.uint16) * 9):
        (expected,) = dualsight.image.open(image)
        (sent,) = dualsight.image.open(content(image))
        np.testing.assert_array_equal(sent.pixels, expected.pixels)


def test_an_array_of_arrays_is_that_many_pictures() -> None:
    assert [len(batch) for batch in batches(np.stack([PIXELS] * 5), 3)] == [3, 2]


def test_what_cannot_be_read_fails_in_its_place(tmp_path: Path) -> None:
    closed = io.BytesIO(PNG)
    closed.close()
    images = [PNG, tmp_path / "none.png", tmp_path, closed, io.StringIO("text"), object(), PIXELS]
    (batch,) = batches(images, 8)  # type: ignore[arg-type]
    assert [item.index for item in batch] == list(range(7))
    kinds = [type(item.error) if isinstance(item, Failed) else Upload for item in batch]
    unreadable, unsupported = UnreadableImage, UnsupportedImage
    assert kinds == [Upload, unreadable, unreadable, unreadable, unsupported, unsupported, Upload]
    assert isinstance(batch[1], Failed) and str(tmp_path / "none.png") in str(batch[1].error)


def test_a_text_that_is_no_path_is_not_sent() -> None:
    failed = only("\0")
    assert isinstance(failed, Failed) and "base64" in failed.error.hint


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 7))
def test_batches_keep_the_order_and_both_bounds(lengths: list[int], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upload, "REQUEST_BYTES", 10)
        made: list[Batch] = list(batches([b"x" * length for length in lengths], size))
    items = [item for batch in made for item in batch]
    assert [item.index for item in items] == list(range(len(lengths)))
    for batch in made:
        sizes = [len(item.content) for item in batch if isinstance(item, Upload)]
        assert 1 <= len(batch) <= size
        assert sum(sizes) <= 10 or len(batch) == 1


def test_no_more_is_read_than_the_batch_at_hand() -> None:
    taken = []

    def pictures():
        for index in range(100):
            taken.append(index)
            yield PNG

    stream = batches(pictures(), 4)
    next(stream)
    assert len(taken) <= 5
