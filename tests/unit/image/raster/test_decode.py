from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, ImageCms

from dualsight.errors import ImageError, ImageTooLarge, UnreadableImage, UnsupportedImage
from dualsight.image.frame import Frame
from dualsight.image.limits import Limits
from dualsight.image.raster.decode import decode_raster, from_array, from_pil
from picture_files import png, png_chunk, saved, stretched, tiff

FOLDER = Path(__file__).parents[3] / "data" / "images"


def decode(data: bytes) -> NDArray[np.uint8]:
    (frame,) = decode_raster(data, "test")
    return frame.pixels


def noise(*shape: int, high: int = 256, dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


# 8 bits and less, by mode: black, white, red, and half-transparent values over black


@pytest.mark.parametrize(
    ("mode", "value", "rgb"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("LA", (200, 128), (100, 100, 100)),
        ("La", (100, 128), (100, 100, 100)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (200, 100, 50, 128), (100, 50, 25)),
        ("RGBA", (200, 100, 50, 0), (0, 0, 0)),
        ("RGBa", (100, 50, 25, 128), (100, 50, 25)),
        ("RGBa", (200, 9, 9, 100), (200, 9, 9)),  # more light than its alpha allows: shown as stored
        ("RGBX", (9, 8, 7, 0), (9, 8, 7)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("YCbCr", (76, 85, 255), (254, 0, 0)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("HSV", (0, 0, 90), (90, 90, 90)),
    ],
)
def test_every_mode_has_the_right_colour(mode: str, value: Any, rgb: tuple[int, int, int]) -> None:
    frame = from_pil(Image.new(mode, (2, 3), value), "x")
    assert frame.pixels.dtype == np.uint8
    np.testing.assert_array_equal(frame.pixels, np.broadcast_to(np.uint8(rgb), (3, 2, 3)))


def test_lab_is_converted_by_its_meaning() -> None:
    red = Image.new("RGB", (2, 2), (200, 30, 40))
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.applyTransform(red, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    assert lab is not None and lab.mode == "LAB"
    assert np.abs(from_pil(lab).pixels.astype(int) - (200, 30, 40)).max() <= 2  # LAB holds 8 bits itself


def test_palettes_are_looked_up_and_their_transparency_is_black() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    assert decode(saved(image, "PNG"))[0].tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    assert decode(saved(image, "PNG", transparency=1))[0].tolist() == [[10, 20, 30], [0, 0, 0], [70, 80, 90]]
    alphas = bytes([0, 255, 51])
    assert decode(saved(image, "PNG", transparency=alphas))[0].tolist() == [[0, 0, 0], [40, 50, 60], [14, 16, 18]]
    assert from_pil(image.convert("PA")).pixels[0].tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]


def test_a_transparent_colour_key_is_black() -> None:
    rgb = np.uint8([[[9, 9, 9], [200, 1, 2]]])
    assert decode(saved(Image.fromarray(rgb), "PNG", transparency=(200, 1, 2)))[0].tolist() == [[9] * 3, [0] * 3]
    grey = Image.fromarray(np.uint8([[9, 200]]))
    assert decode(saved(grey, "PNG", transparency=200))[0].tolist() == [[9] * 3, [0] * 3]


def test_adobe_cmyk_jpeg_is_not_a_negative() -> None:
    white = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert decode(saved(white, "JPEG", quality=100)).min() > 250
    assert decode((FOLDER / "pillow" / "pil_sample_cmyk.jpg").read_bytes()).std() > 10


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "WEBP", "PPM", "GIF", "JPEG2000"])
def test_lossless_formats_keep_every_value(format: str) -> None:
    grey = np.repeat(noise(17, 13, 1), 3, axis=2)  # within 256 colours, for GIF
    image = Image.fromarray(grey[..., 0]) if format == "GIF" else Image.fromarray(grey)
    options = {"lossless": True} if format == "WEBP" else {}
    np.testing.assert_array_equal(decode(saved(image, format, **options)), grey)


# EXIF


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(format: str, orientation: int) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :16], upright[:16, 32:] = (255, 0, 0), (0, 255, 0)
    methods = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how a camera that was turned stores it
    image = Image.fromarray(upright)
    stored = image if orientation == 1 else image.transpose(Image.Transpose(methods[orientation]))
    exif = Image.Exif()
    exif[274] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format, {})
    pixels = decode(saved(stored, format, exif=exif, **options))
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).max() <= 3  # JPEG at its best quality


def test_damaged_exif_is_noted_and_the_picture_shown() -> None:
    (frame,) = decode_raster((FOLDER / "pillow" / "hopper_bad_exif.jpg").read_bytes(), "x")
    assert frame.pixels.shape == (500, 500, 3)


# deeper than 8 bits


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_png_keeps_its_low_bytes(channels: int) -> None:
    values = noise(9, 11, channels, high=200, dtype="uint16") + 40_000  # all in one or two high bytes
    expected = np.repeat(stretched(values), 3 // channels, axis=2)
    np.testing.assert_array_equal(decode(png(values)), expected)


@pytest.mark.parametrize("channels", [2, 4])
def test_16_bit_png_with_alpha_is_shown_on_black(channels: int) -> None:
    values = noise(9, 11, channels, high=65536, dtype="uint16")
    colour, alpha = values[..., :-1], values[..., -1:] / np.float32(65535)
    np.testing.assert_array_equal(
        decode(png(values)), np.rint(np.repeat(stretched(colour), 5 - channels, 2) * alpha)[..., :3]
    )


def test_transparent_16_bit_grey_is_black() -> None:
    values = np.uint16([[[100], [200], [300]]])
    key = png_chunk(b"tRNS", struct.pack(">H", 300))
    assert decode(png(values, extra=key))[0, :, 0].tolist() == [0, 128, 0]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float16", "float32", "float64", "uint64"])
def test_deep_grey_tiff_in_every_type_and_byte_order(dtype: str, deflate: bool, order: str) -> None:
    values = (noise(10, 7, 1, high=60_000).astype(np.float64) - (0 if dtype[0] == "u" else 30_000)).astype(dtype)
    values = values * 70_000 if dtype == "uint32" else values  # beyond what fits a signed 32-bit integer
    decoded = decode(tiff(values, order=order, deflate=deflate))
    np.testing.assert_array_equal(decoded, np.repeat(stretched(values), 3, axis=2))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("tile", [None, 16])
def test_16_bit_colour_tiff_in_every_layout(order: str, deflate: bool, planar: bool, tile: int | None) -> None:
    values = noise(21, 37, 3, high=4096, dtype="uint16")
    decoded = decode(tiff(values, order=order, deflate=deflate, planar=planar, tile=tile))
    np.testing.assert_array_equal(decoded, stretched(values))


def test_extra_samples_of_tiff_are_alpha_only_where_they_say_so() -> None:
    values = noise(6, 5, 4, high=65536, dtype="uint16")
    shown = stretched(values[..., :3])
    np.testing.assert_array_equal(decode(tiff(values, extra_samples=0)), shown)
    np.testing.assert_array_equal(decode(tiff(values, extra_samples=1)), shown)  # colours already times alpha
    alpha = values[..., 3:] / np.float32(65535)
    np.testing.assert_array_equal(decode(tiff(values, extra_samples=2)), np.rint(shown * alpha))


def test_white_is_zero_is_no_negative() -> None:
    values = np.uint16([[[0], [1000]]])
    assert decode(tiff(values, photometric=0))[0, :, 0].tolist() == [255, 0]
    assert decode(tiff(values, photometric=1))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_deep_tiff_stands_upright(orientation: int) -> None:
    values = noise(4, 6, 1, high=999, dtype="uint16")
    expected = np.rot90(stretched(values), {1: 0, 3: 2, 6: -1}[orientation])
    np.testing.assert_array_equal(decode(tiff(values, orientation=orientation))[..., :1], expected)


@pytest.mark.parametrize("deflate", [False, True])
def test_either_fill_order_of_tiff(deflate: bool) -> None:
    values = noise(6, 5, 1, high=5000, dtype="uint16")
    data = tiff(values, deflate=deflate, fill_order=2)
    np.testing.assert_array_equal(decode(data)[..., :1], stretched(values))


def test_deep_tiff_is_held_to_our_limits_not_to_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    values = noise(6, 5, 3, high=5000, dtype="uint16")
    np.testing.assert_array_equal(decode(tiff(values)), stretched(values))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize(("dtype", "predictor"), [("uint16", 2), ("int32", 2), ("float32", 3)])
def test_predictors_are_undone(compression: str, dtype: str, predictor: int) -> None:
    values = noise(12, 9, high=3000).astype(dtype)
    data = saved(Image.fromarray(values), "TIFF", compression=compression, tiffinfo={317: predictor})
    np.testing.assert_array_equal(decode(data)[..., 0], stretched(values))


@pytest.mark.parametrize("maxval", [4095, 65535])
def test_16_bit_ppm_keeps_its_low_bytes(maxval: int) -> None:
    values = noise(5, 4, 3, high=300, dtype=">u2")
    np.testing.assert_array_equal(decode(b"P6 4 5 %d\n" % maxval + values.tobytes()), stretched(values))


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I", "F"])
def test_deep_pillow_images_in_every_byte_order(mode: str) -> None:
    values = noise(5, 4, high=5000, dtype="uint16")
    dtype = {"I;16B": ">u2", "I": "int32", "F": "float32"}.get(mode, "<u2")
    image = Image.frombytes(mode, (4, 5), values.astype(dtype).tobytes())
    np.testing.assert_array_equal(from_pil(image).pixels[..., 0], stretched(values))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_refused(bad: float) -> None:
    values = np.ones((3, 3, 1), np.float32)
    values[1, 1] = bad
    with pytest.raises(UnreadableImage, match="NaN or infinite"):
        decode(tiff(values))


def test_a_deep_picture_of_one_value_is_refused_and_a_shallow_one_shown() -> None:
    with pytest.raises(UnreadableImage, match="all pixels are equal"):
        decode(tiff(np.full((3, 3, 1), 900, np.uint16)))
    assert decode(png(np.full((3, 3, 1), 90, np.uint8))).tolist() == [[[90] * 3] * 3] * 3


# arrays


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
@pytest.mark.parametrize("dtype", ["uint16", "int64", "float32", ">u2", "float64"])
def test_arrays_are_stretched_over_their_own_range(shape: tuple[int, ...], dtype: str) -> None:
    values = noise(*shape, high=7000).astype(dtype)
    expected = np.broadcast_to(stretched(values).reshape(4, 5, -1), (4, 5, 3))
    np.testing.assert_array_equal(from_array(values).pixels, expected)
    np.testing.assert_array_equal(from_array(values.astype(np.float64) / 7000).pixels, expected)


def test_bytes_and_booleans_are_taken_as_they_are() -> None:
    assert from_array(np.uint8([[3, 7]])).pixels.tolist() == [[[3] * 3, [7] * 3]]
    assert from_array(np.array([[True, False]])).pixels.tolist() == [[[255] * 3, [0] * 3]]
    assert from_array(np.uint8([[[255, 100, 0, 51]]])).pixels.tolist() == [[[51, 20, 0]]]
    assert from_array(np.float32([[[0, 0.5, 1, 0.2]]])).pixels.tolist() == [[[0, 26, 51]]]


def test_extreme_values_do_not_overflow() -> None:
    assert from_array(np.array([[-1e308, 0, 1e308]])).pixels[0, :, 0].tolist() == [0, 128, 255]
    assert from_array(np.int16([[-32768, 32767]])).pixels[0, :, 0].tolist() == [0, 255]
    assert from_array(np.uint64([[0, 2**64 - 1]])).pixels[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (np.zeros((3, 4, 5), np.uint8), UnsupportedImage),
        (np.zeros(9, np.uint8), UnsupportedImage),
        (np.zeros((3, 3), complex), UnsupportedImage),
        (np.array([["a"]]), UnsupportedImage),
        (np.zeros((0, 3), np.uint8), UnreadableImage),
        (np.full((2, 2), np.nan), UnreadableImage),
        (np.float32([[[0, 0.5, 1, 7]]]), UnreadableImage),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(wrong: NDArray[Any], kind: type[ImageError]) -> None:
    with pytest.raises(kind, match=r"^scan 3: "):
        from_array(wrong, "scan 3")


def test_a_frame_does_not_share_memory_with_the_callers_array() -> None:
    values = np.zeros((2, 2, 3), np.uint8)
    frame = from_array(values)
    values[:] = 9
    assert frame.pixels.max() == 0


# frames


@pytest.mark.parametrize("format", ["TIFF", "GIF", "WEBP", "PNG"])
def test_frames_come_one_by_one(format: str) -> None:
    first, *others = [Image.new("L", (8, 6), grey) for grey in (10, 120, 250)]
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(first, format, save_all=True, append_images=others, **options)
    frames = decode_raster(data, "cine")
    assert next(frames).pixels[0, 0, 0] == 10
    assert [(frame.pixels[0, 0, 0], frame.frame_index, frame.n_frames) for frame in frames] == [
        (120, 1, 3),
        (250, 2, 3),
    ]


# safety


def test_bombs_are_refused_by_their_header() -> None:
    with pytest.raises(ImageTooLarge, match="limit of 10"):
        next(decode_raster(png(noise(4, 4, 1)), "x", limits=Limits(pixels=10)))
    for data in (
        png(noise(1, 1, 1)).replace(struct.pack(">II", 1, 1), struct.pack(">II", 60_000, 60_000)),
        tiff(noise(1, 1, 1)).replace(struct.pack("<HHII", 256, 4, 1, 1), struct.pack("<HHII", 256, 4, 1, 2**31)),
        b"P5 2000000 2000000 255\n",
    ):
        with pytest.raises((ImageTooLarge, UnreadableImage)):
            decode(data)


def test_a_tiff_page_that_follows_itself_is_one_page() -> None:
    assert len(list(decode_raster(tiff(noise(4, 4, 1), loops=True), "x"))) == 1


def test_too_many_frames_are_refused_before_the_first() -> None:
    pages = [Image.new("L", (8, 8), i) for i in range(5)]
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    for limits in (Limits(frames=4), Limits(total_pixels=8 * 8 * 4)):
        with pytest.raises(ImageTooLarge):
            next(decode_raster(data, "x", limits=limits))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000", "AVIF"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_truncated_files_are_refused_not_filled_with_grey(format: str, part: float) -> None:
    data = saved(Image.fromarray(noise(40, 40, 3)), format)
    with pytest.raises(ImageError):
        decode(data[: int(len(data) * part)])


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_truncated_deep_tiff_is_refused(compression: str) -> None:
    data = saved(Image.fromarray(noise(40, 40, high=3000, dtype="uint16")), "TIFF", compression=compression)
    with pytest.raises(ImageError):
        decode(data[: len(data) - 200])


@pytest.mark.parametrize(
    ("values", "options"), [(noise(4, 4, 3), {}), (noise(4, 4, 1, high=999, dtype="uint16"), {"tile": 16})]
)
def test_a_tiff_whose_bytes_cannot_fill_its_size_costs_no_memory(
    values: NDArray[Any], options: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tiff(values, deflate=True, **options)
    for tag, size in ((256, 4), (257, 4), (322, 16), (323, 16)):
        large = large.replace(struct.pack("<HHII", tag, 4, 1, size), struct.pack("<HHII", tag, 4, 1, 12_000))
    monkeypatch.setattr(Image, "new", lambda *_: pytest.fail("a canvas was made"))
    monkeypatch.setattr(Image.core, "new", lambda *_: pytest.fail("a canvas was made"))
    with pytest.raises(UnreadableImage):
        decode(large)


@pytest.mark.parametrize("rows", [0, 5, 10])
def test_a_png_whose_rows_end_early_is_refused_not_shown_with_black_below(rows: int) -> None:
    with pytest.raises(UnreadableImage, match="truncated"):
        decode(png(noise(11, 13, 3), rows=rows))


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (8, 8), (13, 9)])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_whole_png_of_any_depth_is_whole(mode: str, size: tuple[int, int]) -> None:
    assert decode(saved(Image.new(mode, size), "PNG")).shape == (size[1], size[0], 3)


def test_other_formats_are_refused() -> None:
    with pytest.raises(UnsupportedImage, match=r"^old\.tga: ") as refused:
        next(decode_raster(saved(Image.new("RGB", (4, 4)), "TGA"), "old.tga"))
    assert "JPEG 2000" in refused.value.hint


def seeds() -> list[bytes]:
    rgb = Image.fromarray(noise(9, 9, 3))
    files = [saved(rgb, f) for f in ("PNG", "JPEG", "BMP", "WEBP", "PPM", "JPEG2000", "AVIF", "GIF")]
    files += [saved(rgb, "TIFF", compression=name) for name in ("raw", "tiff_lzw", "jpeg", "packbits")]
    files += [png(noise(5, 5, c, high=65536, dtype="uint16")) for c in (1, 2, 3, 4)]
    files += [tiff(noise(5, 5, 3, high=9999, dtype="uint16"), tile=16, deflate=True), tiff(np.ones((4, 4, 1)))]
    return [*files, saved(rgb, "GIF", save_all=True, append_images=[Image.new("RGB", (9, 9))] * 2)]


SEEDS = seeds()


CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)  # counted below: a shared machine stalls
@given(st.sampled_from(SEEDS), CHANGES, st.none() | st.integers(1, 10_000))
def test_mutated_files_end_in_a_picture_or_an_image_error_in_time(
    seed: bytes, changes: list[tuple[int, int]], end: int | None
) -> None:
    mutated = bytearray(seed)
    for at, value in changes:
        mutated[at % len(seed)] = value
    if end is not None:
        del mutated[end % len(seed) + 1 :]
    started = time.process_time()
    try:
        for frame in decode_raster(bytes(mutated), "fuzz", limits=Limits(pixels=10**6, total_pixels=10**7)):
            assert isinstance(frame, Frame) and frame.pixels.dtype == np.uint8 and frame.pixels.shape[2] == 3
    except ImageError as error:
        assert error.source == "fuzz"
    assert time.process_time() - started < 5


# --- found by fuzzing (tests/hostile)


def rle_bmp(width: int, height: int, body: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    offset = 14 + len(header) + 1024
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + bytes(1024) + body


def test_a_run_length_bmp_is_only_decoded_at_a_size_that_python_can() -> None:
    """An end-of-line code alone made Pillow append 178 million bytes one by one."""
    assert decode(rle_bmp(4, 1, b"\x04\x07\0\0\0\1")).shape == (1, 4, 3)
    with pytest.raises(ImageTooLarge, match="run-length"):
        decode(rle_bmp(170_000_000, 1, b"\0\0\0\1"))


def test_an_animation_of_huge_empty_canvases_is_a_bomb() -> None:
    frames = [Image.new("L", (400, 400), n) for n in range(60)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert len(list(decode_raster(data, "bomb.gif", limits=Limits(pixels=160_000)))) == 60
    with pytest.raises(ImageTooLarge, match=r"60 frames of 400 × 400 pixels in [\d,]+ bytes"):
        list(decode_raster(data, "bomb.gif", limits=Limits(pixels=160_000, pixels_per_byte=100)))


def test_damage_met_while_pixels_are_read_is_damage_and_no_odd_mode() -> None:
    with pytest.raises(UnreadableImage, match="damaged"):
        decode(b"P2\n2 2\n255\n1 2 3 4000000")


@pytest.mark.parametrize(
    "data", [b"P2\n2 2\n255\n1 2 3 Doe", b"P6\nDoe 2\n255\n", b"\x89PNG\r\n\x1a\n\0\0\0\x09DoeJ" + b"Doe Jane1234"]
)
def test_no_error_quotes_the_file_not_even_in_its_traceback(data: bytes) -> None:
    with pytest.raises(ImageError) as raised:
        decode(data)
    assert "Doe" not in str(raised.value)
    assert raised.value.__cause__ is None and raised.value.__suppress_context__


def test_libtiff_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(saved(Image.fromarray(noise(9, 9, 3)), "TIFF", compression="tiff_adobe_deflate"))
    data[20:40] = bytes(20)
    with pytest.raises(UnreadableImage):
        decode(bytes(data))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_a_picture_converted_in_stripes_equals_one_converted_whole(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(noise(13, 7, 4)).convert(mode) if mode != "LA" else Image.fromarray(noise(13, 7, 2), "LA")
    if mode == "P":
        image.info["transparency"] = 3
    whole = from_pil(image).pixels
    monkeypatch.setattr("dualsight.image.raster.modes._STRIPE", 20)
    np.testing.assert_array_equal(from_pil(image).pixels, whole)


def test_a_transparent_colour_of_a_16_bit_png_is_black() -> None:
    values = np.uint16([[[100, 100, 100], [200, 200, 200], [300, 300, 300], [300, 300, 301]]])
    key = png_chunk(b"tRNS", struct.pack(">3H", 300, 300, 300))
    shown = decode(png(values, extra=key))[0]
    assert shown[2].tolist() == [0, 0, 0] and shown[3].tolist() == [254, 254, 255]
    assert decode(png(values))[0, 2].tolist() == [254, 254, 254]


def test_the_frames_of_a_gif_are_counted_to_the_limit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow walks through all of them to count them; twelve bytes are enough for one."""

    def walks(_: object) -> int:
        raise AssertionError

    monkeypatch.setattr(GifImagePlugin.GifImageFile, "n_frames", property(walks))
    one = b"," + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\0"
    data = b"GIF89a" + struct.pack("<2H3B", 1, 1, 0, 0, 0) + one * 100_000
    with pytest.raises(ImageTooLarge, match="11 frames"):
        next(decode_raster(data, "x", limits=Limits(frames=10)))
