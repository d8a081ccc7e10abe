from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from dualsight.errors import ConfigError, ImageTooLarge, UnsupportedImage
from dualsight.image.frame import Frame
from dualsight.image.prepare import Preprocessing, crop_geometry, normalise, normalise_all, prepare, resize
from golden import HERE, SEED, Golden, recipe

IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
OFFICIAL = Preprocessing(height=480, width=480, **IMAGENET)
INDEX = json.loads((HERE / "preprocess" / "index.json").read_text())


def picture(entry: dict[str, Any]) -> NDArray[np.uint8]:
    values = recipe.image(entry["image"], entry["height"], entry["width"], entry["channels"], SEED)
    values = values.reshape(entry["height"], entry["width"], -1)
    return np.repeat(values, 3 // values.shape[2], axis=2)


@pytest.mark.parity
@pytest.mark.parametrize("name", INDEX)
def test_resized_bytes_equal_the_reference(name: str) -> None:
    entry = INDEX[name]
    preprocessing = Preprocessing(height=480, width=480, center_crop=entry["center_crop"], **IMAGENET)
    with np.load(HERE / "preprocess" / "resized_uint8.npz") as expected:
        resized = resize(picture(entry), preprocessing)
        np.testing.assert_array_equal(resized, expected[name])
    pixels = normalise(resized, preprocessing)
    assert pixels.mean() == pytest.approx(entry["pixels_mean"], abs=1e-6)  # a sum of 691,200 float32
    assert pixels.std() == pytest.approx(entry["pixels_std"], abs=1e-6)


@pytest.mark.parity
def test_pixels_equal_the_reference_to_the_bit() -> None:
    golden = Golden("davit")
    small = Preprocessing(height=96, width=96, **IMAGENET)
    frames = [Frame(pixels=image, source="golden") for image in golden.images()]
    pixels = np.stack([prepare(frame, small) for frame in frames])
    np.testing.assert_array_equal(pixels, golden.expected["pixels"])
    assert pixels.dtype == np.float32


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64), st.booleans())
def test_any_size_comes_out_at_the_size_asked_for(height: int, width: int, side: int, crop: bool) -> None:
    preprocessing = Preprocessing(height=side, width=side, center_crop=crop, **IMAGENET)
    frame = Frame(pixels=np.full((height, width, 3), 7, np.uint8), source="grey")
    pixels = prepare(frame, preprocessing)
    assert pixels.shape == (3, side, side)
    assert np.ptp(pixels, axis=(1, 2)).max() == 0  # a constant stays one


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 90), st.integers(-1, 2), st.booleans())
def test_a_grey_picture_gives_the_bytes_that_its_three_channels_give(
    seed: int, height: int, width: int, coloured: int, crop: bool
) -> None:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (height, width, 1), np.uint8).repeat(3, 2)
    if coloured >= 0:  # one value of one channel makes it a picture in colour
        rgb[-1, -1, coloured] ^= 128
    preprocessing = Preprocessing(height=40, width=40, center_crop=crop, **IMAGENET)
    expected = np.dstack(
        [resize(np.dstack([channel] * 3), preprocessing)[:, :, :1] for channel in rgb.transpose(2, 0, 1)]
    )
    whole = Image.fromarray(rgb).resize((40, 40), Image.Resampling.BICUBIC)
    resized = resize(rgb, preprocessing)
    np.testing.assert_array_equal(resized, expected)
    if not crop:
        np.testing.assert_array_equal(resized, np.asarray(whole))


def test_pixels_are_put_where_they_are_wanted() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    room = np.full((2, 3, 5, 4), np.nan, np.float32)
    assert normalise(rgb, OFFICIAL, out=room[1]) is not None
    np.testing.assert_array_equal(room[1], normalise(rgb, OFFICIAL))
    assert np.isnan(room[0]).all()


def test_a_grey_picture_is_put_where_it_is_wanted() -> None:
    values = np.random.default_rng(0).integers(0, 256, (9, 9, 1), np.uint8)
    grey = resize(values.repeat(3, 2), Preprocessing(height=5, width=4, **IMAGENET))
    assert grey.strides[2] == 0  # one plane stands for three
    expected = normalise(np.ascontiguousarray(grey), OFFICIAL)  # as if it were coloured
    room = np.full((3, 5, 4), np.nan, np.float32)
    assert normalise(grey, OFFICIAL, out=room) is room
    np.testing.assert_array_equal(room, expected)
    np.testing.assert_array_equal(normalise(grey, OFFICIAL), expected)


def test_pixels_are_float32_a_channel_after_another() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    pixels = normalise(rgb, OFFICIAL)
    assert pixels.dtype == np.float32 and pixels.flags.c_contiguous
    by_hand = (rgb / 255 - np.array(IMAGENET["mean"])) / np.array(IMAGENET["std"])
    np.testing.assert_allclose(pixels, by_hand.transpose(2, 0, 1), atol=1e-6, rtol=0)  # float32


def test_many_pictures_take_the_first_places_of_a_room() -> None:
    pictures = list(np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8))
    room = np.full((3, 3, 5, 4), np.nan, np.float32)
    places = normalise_all(pictures, OFFICIAL, room)
    assert places.shape == (2, 3, 5, 4) and np.shares_memory(places, room)
    np.testing.assert_array_equal(room[:2], [normalise(picture, OFFICIAL) for picture in pictures])
    assert np.isnan(room[2]).all()


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(1000, 500, (1024, 512, 288, 32)), (500, 1000, (512, 1024, 32, 288)), (64, 64, (512, 512, 32, 32))],
)
def test_the_centre_of_a_picture(width: int, height: int, expected: tuple[int, int, int, int]) -> None:
    assert crop_geometry(width, height, 448) == expected


def test_the_longer_side_is_rounded_down() -> None:
    assert crop_geometry(300, 301, 224)[:2] == crop_geometry(301, 300, 224)[:2] == (256, 256)  # and not 256.85


def test_height_and_width_are_not_exchanged() -> None:
    preprocessing = Preprocessing(height=10, width=20, **IMAGENET)
    assert resize(np.zeros((30, 30, 3), np.uint8), preprocessing).shape == (10, 20, 3)


def test_interpolation_is_the_one_asked_for() -> None:
    step = np.repeat(np.array([0, 255], np.uint8), 8)[None, :, None] * np.ones((4, 1, 3), np.uint8)
    nearest = Preprocessing(height=4, width=31, interpolation="nearest", **IMAGENET)
    bicubic = Preprocessing(height=4, width=31, **IMAGENET)
    cropped = Preprocessing(height=31, width=31, center_crop=True, interpolation="nearest", **IMAGENET)
    assert set(np.unique(resize(step, nearest))) == set(np.unique(resize(step, cropped))) == {0, 255}
    assert len(np.unique(resize(step, bicubic))) > 2


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_only_rgb_bytes_are_resized(wrong: NDArray[Any]) -> None:
    with pytest.raises(UnsupportedImage, match=r"^scan\.png: .* is not uint8"):
        resize(wrong, OFFICIAL, source="scan.png")
    with pytest.raises(UnsupportedImage, match=r"^image: .* is not uint8"):
        resize(wrong, OFFICIAL)
    with pytest.raises(UnsupportedImage, match=r"^scan\.png: .* is not uint8"):
        prepare(Frame(pixels=wrong, source="scan.png"), OFFICIAL)


def test_a_hairline_is_not_enlarged_to_gigabytes_for_its_centre() -> None:
    crop = Preprocessing(height=480, width=480, center_crop=True, **IMAGENET)
    with pytest.raises(ImageTooLarge, match=r"^line\.png: 1 × 100000 pixels are too narrow for a centre crop of 480$"):
        resize(np.zeros((1, 100_000, 3), np.uint8), crop, source="line.png")
    assert resize(np.zeros((1, 100_000, 3), np.uint8), OFFICIAL).shape == (480, 480, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"height": 0}, "image size 0 × 480: both sides must be positive"),
        ({"width": 0}, "image size 480 × 0: both sides must be positive"),
        ({"interpolation": "hamming"}, "interpolation `hamming`: one of nearest, bilinear, bicubic, lanczos"),
        ({"std": (0.2, 0.2, 0.0)}, "three each, std above 0"),
        ({"mean": (0.5, 0.5)}, "three each, std above 0"),
        ({"std": (0.5, 0.5)}, "three each, std above 0"),
        ({"width": 240, "center_crop": True}, "a centre crop is square, and the image size is 480 × 240"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Preprocessing(**{"height": 480, "width": 480, **IMAGENET, **wrong})
