from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import dualsight.image
from dualsight.errors import (
    ConfigError,
    ImageError,
    ImageTooLarge,
    UnreadableImage,
    UnsupportedImage,
)
from dualsight.image import Frame, Limits
from dualsight.image.slide.decode import Slide, open_slide
from slide_files import (
    Pixels,
    entry_at,
    halved,
    stained,
    tissue,
    with_value,
    write_slide,
    write_sparse_slide,
)

BOXES = [(100, 150, 180, 120), (420, 380, 150, 200)]
SOURCE = stained(700, 620, *BOXES)
LEVELS = [SOURCE, halved(SOURCE), halved(halved(SOURCE))]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pyramid of three levels, without loss. Read only."""
    return write_slide(tmp_path_factory.mktemp("slide") / "slide.tif", LEVELS)


def shown(frame: Frame, source: Pixels = SOURCE) -> Pixels:
    """What a tile of level 0 must show."""
    assert frame.meta.tile_origin and frame.meta.rows and frame.meta.columns
    x, y = frame.meta.tile_origin
    return source[y : y + frame.meta.rows, x : x + frame.meta.columns]


def covered(frames: list[Frame], size: tuple[int, int] = (620, 700)) -> Any:
    """How many tiles show each pixel of level 0."""
    count = np.zeros(size, int)
    for frame in frames:
        shown(frame, count)[:] += 1  # type: ignore[arg-type]  # a view of the counts
    return count


# --- layouts


LAYOUTS: dict[str, dict[str, Any]] = {
    "pages": {},
    "SubIFDs": {"sub": True},
    "pages, big-endian": {"byteorder": ">"},
    "classic TIFF": {"bigtiff": False},
    "classic SubIFDs": {"bigtiff": False, "sub": True},
    "LZW, predicted": {"compression": "lzw", "predictor": True},
    "Zstandard": {"compression": "zstd"},
    "LZMA": {"compression": "lzma"},
    "PackBits": {"compression": "packbits"},
    "none": {"compression": None},
    "JPEG 2000": {"compression": "jpeg2000"},
    "Aperio": {"aperio_mpp": 0.5},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_tiles_of_every_layout_equal_the_source(name: str, tmp_path: Path) -> None:
    slide = open_slide(write_slide(tmp_path / "slide", LEVELS, **LAYOUTS[name]))
    assert [(level.width, level.height) for level in slide.levels] == [(700, 620), (350, 310), (175, 155)]
    assert slide.levels[2].downsample == pytest.approx(4, rel=0.01)
    for level in range(3):
        for frame in slide.tiles(100, level=level, min_tissue=0):
            x, y = (round(side / slide.levels[level].downsample) for side in frame.meta.tile_origin or ())
            np.testing.assert_array_equal(frame.pixels, LEVELS[level][y : y + 100, x : x + 100])


@pytest.mark.parametrize("options", [{}, {"subsampling": (2, 2)}, {"aperio_mpp": 0.25}, {"sub": True}])
def test_jpeg_tiles_are_the_source_but_for_jpegs_loss(options: dict[str, Any], tmp_path: Path) -> None:
    smooth = np.asarray(Image.fromarray(stained(200, 180, (40, 40, 100, 90))).reduce(4).resize((200, 180)))
    path = write_slide(tmp_path / "slide", [smooth, halved(smooth)], compression="jpeg", **options)
    (frame,) = open_slide(path).tiles(256)
    assert frame.pixels.shape == (180, 200, 3)
    assert np.abs(frame.pixels.astype(int) - smooth).mean() < 3


def test_aperios_jpeg_2000_in_ybr_is_shown_as_rgb(tmp_path: Path) -> None:
    pixels = stained(128, 128, (20, 30, 70, 60))
    ybr = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    path = write_slide(tmp_path / "slide", [ybr, halved(ybr)], compression="jpeg2000")
    data = path.read_bytes()
    for page in (0, 1):
        data = with_value(data, 259, 33003, page)
    path.write_bytes(data)
    (frame,) = open_slide(path).tiles(128, min_tissue=0)
    assert np.abs(frame.pixels.astype(int) - pixels).max() <= 3


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_a_grey_slide_is_parted_by_its_levels(photometric: str, tmp_path: Path) -> None:
    grey = np.full((200, 200), 240, np.uint8)
    grey[60:120, 80:140] = 90
    stored = 255 - grey if photometric == "miniswhite" else grey
    slide = open_slide(write_slide(tmp_path / "slide", [stored, stored[::2, ::2]], photometric=photometric))
    assert np.abs(slide.tissue_mask().sum() - 3600) < 20
    for frame in slide.tiles(50):
        np.testing.assert_array_equal(frame.pixels[..., 1], shown(frame, grey))


def test_transparent_and_unscanned_places_are_white(tmp_path: Path) -> None:
    rgba = np.dstack([SOURCE, np.full(SOURCE.shape[:2], 255, np.uint8)])
    rgba[200:210, 120:130] = (9, 9, 9, 0)
    path = write_slide(tmp_path / "slide", [rgba, rgba[::2, ::2]], extrasamples=["unassalpha"])
    (frame,) = open_slide(path).tiles(1000)
    expected = SOURCE.copy()
    expected[200:210, 120:130] = 255
    np.testing.assert_array_equal(frame.pixels, expected)
    data = path.read_bytes()
    (counts_at,) = struct.unpack_from("<Q", data, entry_at(data, 325) + 12)
    width = {3: 2, 4: 4, 16: 8}[struct.unpack_from("<H", data, entry_at(data, 325) + 2)[0]]
    path.write_bytes(data[:counts_at] + bytes(width) + data[counts_at + width :])  # the first tile of level 0
    (frame,) = open_slide(path).tiles(1000)
    assert (frame.pixels[:64, :64] == 255).all()
    np.testing.assert_array_equal(frame.pixels[64:], expected[64:])


def test_tiles_cut_to_the_level_by_their_writer_are_read(tmp_path: Path) -> None:
    """JPEG tells a tile's own size; some writers store what is left of the level, not a whole tile."""
    smooth = np.full((64, 100, 3), (170, 60, 140), np.uint8)
    with tifffile.TiffWriter(tmp_path / "slide", bigtiff=True) as file:
        for level in (smooth, halved(smooth)):
            whole = level.shape[1] // 64 * 64
            parts = [level[:, x : x + 64] for x in (*range(0, whole, 64), whole)]
            encoded = []
            for part in parts:
                buffer = io.BytesIO()
                Image.fromarray(part).save(buffer, "JPEG", quality=95)
                encoded.append(buffer.getvalue())
            file.write(
                iter(encoded),
                shape=level.shape,
                dtype=np.uint8,
                tile=(64, 64),
                photometric="ycbcr",
                compression="jpeg",
                subfiletype=int(level.shape[1] < 100),
                metadata=None,
            )
    (frame,) = open_slide(tmp_path / "slide").tiles(128, min_tissue=0)
    assert np.abs(frame.pixels.astype(int) - smooth).max() < 4


# --- tissue


def test_tiles_cover_all_tissue_and_no_background(path: Path) -> None:
    frames = list(open_slide(path).tiles(40, min_tissue=0.01))
    count = covered(frames)
    for x, y, w, h in BOXES:
        assert count[y : y + h, x : x + w].all()
    for frame in frames:
        purple = np.ptp(shown(frame).astype(int), axis=2) > 30
        assert purple.any()
        np.testing.assert_array_equal(frame.pixels, shown(frame))
    assert [frame.frame_index for frame in frames] == list(range(len(frames)))
    assert {frame.n_frames for frame in frames} == {len(frames)}


def test_the_mask_is_where_the_tissue_is(path: Path) -> None:
    mask = open_slide(path).tissue_mask()
    truth = np.zeros((620, 700), bool)
    for x, y, w, h in BOXES:
        truth[y : y + h, x : x + w] = True
    assert mask.shape == truth.shape  # as no level has half of 2048 pixels, the finest is taken
    assert (mask != truth).mean() < 0.001


def test_more_tissue_is_asked_of_a_tile(path: Path) -> None:
    slide = open_slide(path)
    some, half, full = (list(slide.tiles(50, min_tissue=part)) for part in (0.01, 0.5, 1))
    assert len(some) > len(half) > len(full) > 0
    for frame in full:
        assert (np.ptp(shown(frame).astype(int), axis=2) > 30).mean() > 0.97
    assert len(list(slide.tiles(50, min_tissue=0))) == 14 * 13


def test_specks_are_dust_and_holes_are_tissue(tmp_path: Path) -> None:
    pixels = stained(400, 400, (100, 100, 120, 120), (300, 50, 3, 3))
    pixels[140:146, 140:146] = 243  # a hole of 36 pixels
    pixels[170:190, 170:190] = 243  # a lumen of 400
    mask = open_slide(write_slide(tmp_path / "slide", [pixels, halved(pixels)])).tissue_mask()
    assert not mask[40:60, 290:310].any()
    assert mask[140:146, 140:146].all()
    assert not mask[173:187, 173:187].any()


def test_pale_tissue_beside_dark_stays(tmp_path: Path) -> None:
    pixels = stained(400, 400, (50, 50, 150, 150))
    pixels[250:350, 250:350] = (240, 200, 225)
    mask = open_slide(write_slide(tmp_path / "slide", [pixels, halved(pixels)])).tissue_mask()
    assert mask[255:345, 255:345].all()


def test_a_fundus_on_black_is_found(tmp_path: Path) -> None:
    y, x = np.mgrid[:400, :400]
    disc = np.hypot(y - 200, x - 200) < 150
    pixels = np.where(disc[..., None], np.array([190, 90, 40], np.uint8), np.uint8(3))
    slide = open_slide(write_slide(tmp_path / "slide", [pixels, halved(pixels)]))
    assert (slide.tissue_mask() != disc).mean() < 0.01
    assert not any((frame.pixels == 3).all() for frame in slide.tiles(40))


@pytest.mark.parametrize("boxes", [[], [(30, 40, 2, 2)]])
def test_a_slide_without_tissue_says_so(boxes: list[tuple[int, int, int, int]], tmp_path: Path) -> None:
    pixels = stained(300, 200, *boxes)
    path = write_slide(tmp_path / "slide", [pixels, halved(pixels)])
    with pytest.raises(UnreadableImage, match="no tissue found") as caught:
        list(dualsight.image.open(path))
    assert "min_tissue=0" in caught.value.hint
    assert len(list(open_slide(path).tiles(100, min_tissue=0))) == 6


# --- places and scales


def test_neighbours_overlap_and_the_last_ends_at_the_edge(path: Path) -> None:
    frames = list(open_slide(path).tiles(100, overlap=25, min_tissue=0))
    xs = sorted({frame.meta.tile_origin[0] for frame in frames if frame.meta.tile_origin})
    assert xs == [0, 75, 150, 225, 300, 375, 450, 525, 600]
    ys = sorted({frame.meta.tile_origin[1] for frame in frames if frame.meta.tile_origin})
    assert ys == [0, 75, 150, 225, 300, 375, 450, 520]
    assert covered(frames).min() == 1
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels, shown(frame))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_size_and_overlap_gives_the_sources_pixels(path: Path, data: st.DataObject) -> None:
    size = data.draw(st.integers(20, 800))
    overlap = data.draw(st.integers(0, size - 10))
    frames = list(open_slide(path).tiles(size, overlap=overlap, min_tissue=0))
    assert len(frames) == frames[0].n_frames
    assert covered(frames).min() >= 1
    for frame in frames:
        assert frame.pixels.shape == (min(size, 620), min(size, 700), 3)
        np.testing.assert_array_equal(frame.pixels, shown(frame))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.integers(17, 300), height=st.integers(17, 300), tile=st.sampled_from([16, 48, 128]))
def test_any_slide_and_tile_size_gives_the_sources_pixels(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, tile: int
) -> None:
    source = tissue(width, height)
    slide = open_slide(write_slide(tmp_path_factory.mktemp("any") / "slide", [source, halved(source)], tile=tile))
    for frame in slide.tiles(50, min_tissue=0):
        np.testing.assert_array_equal(frame.pixels, shown(frame, source))


def test_mpp_takes_the_coarsest_level_that_is_fine_enough(tmp_path: Path) -> None:
    # each level has its own colour: which one was read is seen
    colours = np.array([(200, 0, 0), (0, 200, 0), (0, 0, 200)], np.uint8)
    levels = [np.broadcast_to(colour, (512 >> k, 512 >> k, 3)) for k, colour in enumerate(colours)]
    slide = open_slide(write_slide(tmp_path / "slide", levels, aperio_mpp=0.25))
    assert (slide.mpp, slide.n_levels, slide.format) == (0.25, 3, "SVS")
    assert [level.mpp for level in slide.levels] == [0.25, 0.5, 1.0]
    for mpp, colour, side in (
        (None, (200, 0, 0), 64),
        (0.25, (200, 0, 0), 64),
        (0.2505, (200, 0, 0), 64),
        (0.24, (200, 0, 0), 61),
        (0.4, (200, 0, 0), 102),
        (0.5, (0, 200, 0), 128),
        (0.75, (0, 200, 0), 192),
        (1.0, (0, 0, 200), 256),
        (2.0, (0, 0, 200), 512),
    ):
        frame = next(slide.tiles(64, mpp=mpp, min_tissue=0))
        assert frame.pixels.shape == (64, 64, 3)
        assert tuple(frame.pixels[30, 30]) == colour, mpp
        assert (frame.meta.rows, frame.meta.columns) == (side, side), mpp
        assert frame.meta.spacing_mm == pytest.approx([(mpp or 0.25) / 1000] * 2, rel=0.01)
    with pytest.raises(UnsupportedImage, match=r"scanned at 0\.25 .*, 0\.1 would"):
        slide.tiles(64, mpp=0.1)


@pytest.mark.parametrize("mpp", [0.6, 1.0, 3.7])
def test_resampled_tiles_lie_where_they_say(mpp: float, tmp_path: Path) -> None:
    """A ramp along x and y tells each pixel's place in level 0."""
    y, x = np.mgrid[:1200, :1200]
    ramp = np.stack([x / 1200 * 250, y / 1200 * 250, np.zeros_like(x)], axis=-1).astype(np.uint8)
    slide = open_slide(write_slide(tmp_path / "slide", [ramp], aperio_mpp=0.5), limits=Limits(pixels=1_000_000))
    assert slide.n_levels == 1
    for frame in slide.tiles(96, mpp=mpp, min_tissue=0):
        assert frame.meta.tile_origin and frame.meta.rows and frame.meta.columns
        left, top = frame.meta.tile_origin
        height, width = frame.pixels.shape[:2]
        xs = left + (np.arange(width) + 0.5) * frame.meta.columns / width
        ys = top + (np.arange(height) + 0.5) * frame.meta.rows / height
        assert np.abs(frame.pixels[..., 0] - xs[None] / 1200 * 250).max() < 2.5
        assert np.abs(frame.pixels[..., 1] - ys[:, None] / 1200 * 250).max() < 2.5


def test_a_part_larger_than_a_chunk_is_averaged_as_a_whole(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (2400, 2400, 3), dtype=np.uint8)
    path = write_slide(tmp_path / "slide", [noise], compression=None, tile=512, aperio_mpp=0.25)
    slide = open_slide(path, limits=Limits(pixels=5_000_000))
    (frame,) = slide.tiles(100, mpp=24 * 0.25, min_tissue=0)
    np.testing.assert_array_equal(frame.pixels, np.asarray(Image.fromarray(noise).reduce(24)))
    expected = Image.fromarray(noise).resize((2048, 2048), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(slide.overview, np.asarray(expected))


MICROMETRES: dict[str, tuple[dict[str, Any], float | None]] = {
    "pixels a centimetre": ({"resolution": (40_000, 40_000), "resolutionunit": 3}, 0.25),
    "pixels an inch": ({"resolution": (50_800, 50_800), "resolutionunit": 2}, 0.5),
    "72 dpi, which nobody measured": ({"resolution": (72, 72), "resolutionunit": 2}, None),
    "no unit": ({"resolution": (40_000, 40_000), "resolutionunit": 1}, None),
    "OME-XML": ({"description": '<OME><Pixels PhysicalSizeX="0.35" PhysicalSizeXUnit="µm"/></OME>'.encode()}, 0.35),
    "nothing": ({}, None),
}


@pytest.mark.parametrize("name", MICROMETRES)
def test_micrometres_are_found_where_they_are_written(name: str, tmp_path: Path) -> None:
    options, mpp = MICROMETRES[name]
    slide = open_slide(write_slide(tmp_path / "slide", LEVELS, **options))
    assert slide.mpp == (None if mpp is None else pytest.approx(mpp))
    if mpp is None:
        assert next(slide.tiles(64)).meta.spacing_mm is None
        with pytest.raises(UnsupportedImage, match="how large its pixels"):
            slide.tiles(64, mpp=0.5)


@pytest.mark.parametrize(
    "options",
    [
        {"size_px": 0},
        {"size_px": 64, "overlap": 64},
        {"size_px": 64, "overlap": -1},
        {"size_px": 64, "min_tissue": 1.5},
        {"size_px": 64, "mpp": 0.0},
        {"size_px": 64, "mpp": float("nan")},
        {"size_px": 64, "mpp": 0.5, "level": 1},
        {"size_px": 64, "level": 3},
    ],
)
def test_tiles_that_cannot_be_meant_are_refused(path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        open_slide(path).tiles(**options)


# --- the door


def test_the_door_yields_the_tissue_tiles_of_a_slide(path: Path) -> None:
    frames = list(dualsight.image.open(path, tile_px=128, source="mine"))
    expected = list(open_slide(path).tiles(128))
    assert [f.meta for f in frames] == [f.meta for f in expected] and len(frames) > 3
    assert frames[0].source == "mine" and frames[0].meta.format == "TIFF"
    assert len(list(dualsight.image.open(path))) == len(list(open_slide(path).tiles(480)))


def test_the_door_takes_micrometres(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.svs", LEVELS, aperio_mpp=0.5)
    frames = list(dualsight.image.open(path, tile_px=64, mpp=2.0))
    assert frames[0].meta.spacing_mm == pytest.approx((0.002, 0.002), rel=0.01)
    assert "Doe" not in repr([frame.meta for frame in frames])


def test_bytes_of_a_slide_are_told_to_come_from_a_path(path: Path) -> None:
    with pytest.raises(UnsupportedImage, match="from a path only"):
        list(dualsight.image.open(path.read_bytes()))


def test_a_large_tiled_page_alone_is_a_slide(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "slide", [SOURCE])
    (frame,) = dualsight.image.open(path)
    np.testing.assert_array_equal(frame.pixels, SOURCE)  # an ordinary picture
    limits = Limits(pixels=300_000)
    frames = list(dualsight.image.open(path, limits=limits, tile_px=100))
    assert len(frames) > 5
    assert next(open_slide(path, limits=limits).tiles(100)).n_frames == len(frames)


def test_ordinary_tiffs_stay_what_they_were(tmp_path: Path) -> None:
    ordinary: dict[str, list[dict[str, Any]]] = {
        "strips": [{}, {"subfiletype": 1}],
        "tiles of one size": [{"tile": (64, 64)}] * 3,
        "tiles, the second page half as large": [{"tile": (64, 64)}, {"tile": (64, 64), "half": True}],
        "tiles with a thumbnail in strips": [{"tile": (64, 64)}, {"subfiletype": 1}],
    }
    for name, pages in ordinary.items():
        file_path = tmp_path / name
        with tifffile.TiffWriter(file_path) as file:
            for number, options in enumerate(pages):
                picture = LEVELS[1] if options.keys() & {"subfiletype", "half"} else SOURCE
                options = {key: value for key, value in options.items() if key != "half"}
                file.write(np.roll(picture, number), photometric="rgb", metadata=None, **options)
        frames = list(dualsight.image.open(file_path))
        assert len(frames) == len(pages), name
        for number, frame in enumerate(frames):
            picture = LEVELS[1] if pages[number].keys() & {"subfiletype", "half"} else SOURCE
            assert np.array_equal(frame.pixels, np.roll(picture, number))
        with pytest.raises(UnsupportedImage, match="several resolutions"):
            open_slide(file_path)


def test_no_tiff_of_the_manifest_is_a_slide() -> None:
    folder = Path(__file__).parents[3] / "data" / "images"
    found = [path for path in folder.rglob("*.tif*") if path.stat().st_size]
    assert len(found) > 30
    for path in found:
        with pytest.raises(ImageError, match=r"several resolutions|damaged"):
            open_slide(path)


def test_without_the_libraries_the_install_command_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(UnsupportedImage) as caught:
        next(dualsight.image.open(path))
    assert caught.value.hint == "pip install 'dualsight[slide]'"


def test_the_guides_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    write_slide(tmp_path / "slide.svs", LEVELS, aperio_mpp=0.25)
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[4] / "docs" / "slides.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)  # noqa: S102 - our own documentation
    assert capsys.readouterr().out == "0.25 [(700, 620), (350, 310), (175, 155)]\n"
    assert (found["x"], found["y"], found["height"], found["width"]) == (0, 0, 620, 700)


# --- limits, damage


def test_the_limits_on_a_whole_file_do_not_hold_for_slides(path: Path) -> None:
    limits = Limits(total_pixels=100_000, file_bytes=10_000)
    with pytest.raises(ImageTooLarge):
        list(dualsight.image.open(path, limits=Limits(pixels=100_000)))  # a tile of 480
    assert len(list(dualsight.image.open(path, limits=limits, tile_px=64))) > 3


@pytest.mark.parametrize("limits", [Limits(pixels=4000), Limits(frames=3)])
def test_the_limits_on_tiles_hold(path: Path, limits: Limits) -> None:
    with pytest.raises(ImageTooLarge):
        next(open_slide(path, limits=limits).tiles(64, min_tissue=0))


def damaged(path: Path, tmp_path: Path, data: bytes) -> Path:
    assert data != path.read_bytes()
    (tmp_path / "damaged").write_bytes(data)
    return tmp_path / "damaged"


def test_damaged_directories_are_told(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    for changed, kind in {
        with_value(data, 322, 0): ImageError,  # no tile width
        with_value(data, 323, 0): UnreadableImage,
        with_value(data, 256, 2**31): ImageError,  # a width for which tiles are missing
        with_value(data, 322, 2**31): ImageError,
        with_value(data, 322, 128): UnreadableImage,
        with_value(data, 324, len(data) + 8): ImageError,  # the list of offsets lies beyond the end
        with_value(data, 259, 34661): UnsupportedImage,  # JBIG
        with_value(data, 284, 2): ImageError,
    }.items():
        with pytest.raises(kind):
            list(open_slide(damaged(path, tmp_path, changed)).tiles(64))
    with pytest.raises(UnreadableImage, match="tiles of 128 × 64, but 110 tiles of 60"):
        open_slide(damaged(path, tmp_path, with_value(data, 322, 128)))


@pytest.mark.parametrize(
    ("compression", "name"), [(34661, "34661"), (50001, "WebP"), (50002, "JPEG XL"), (34934, "JPEG XR")]
)
def test_a_codec_that_is_not_read_is_named(path: Path, tmp_path: Path, compression: int, name: str) -> None:
    with pytest.raises(UnsupportedImage, match=f"compressed as {name},"):
        list(dualsight.image.open(damaged(path, tmp_path, with_value(path.read_bytes(), 259, compression))))


def test_a_codec_that_imagecodecs_lacks_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import imagecodecs

    monkeypatch.setattr(imagecodecs, "DEFLATE", type("DEFLATE", (), {"available": False}))
    with pytest.raises(UnsupportedImage, match="without deflate"):
        open_slide(path)


def test_deep_slides_are_refused(tmp_path: Path) -> None:
    deep = SOURCE.astype(np.uint16) * 100
    with pytest.raises(UnsupportedImage, match="16 bits"):
        open_slide(write_slide(tmp_path / "slide", [deep, deep[::2, ::2]]))


def test_tiles_beyond_the_end_of_the_file_are_told(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    (offsets_at,) = struct.unpack_from("<Q", data, entry_at(data, 324) + 12)
    wrong = struct.pack("<Q", len(data) - 3)
    changed = data[: offsets_at + 8 * 24] + wrong + data[offsets_at + 8 * 25 :]  # a tile with tissue
    with pytest.raises(UnreadableImage, match="tile 24"):
        list(open_slide(damaged(path, tmp_path, changed)).tiles(64))


def test_a_tile_may_not_claim_the_whole_file(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    at = entry_at(data, 325)
    n_tiles = 11 * 10
    entry = struct.pack("<HHQQ", 325, 16, n_tiles, len(data))  # a new list of counts at the end
    changed = data[:at] + entry + data[at + 20 :] + struct.pack("<Q", 10**9) * n_tiles
    with pytest.raises(UnreadableImage, match="damaged: tile 0 of 1,000,000,000 bytes"):
        list(open_slide(damaged(path, tmp_path, changed)).tiles(64, min_tissue=0))


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "zlib", "lzw", "zstd", "lzma", "packbits"])
def test_a_tile_cut_short_is_never_shown_grey(compression: str, tmp_path: Path) -> None:
    path = write_slide(tmp_path / "slide", LEVELS, compression=compression, bigtiff=True)
    data = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        offset, n_bytes = file.pages[0].dataoffsets[24], file.pages[0].databytecounts[24]
    start, end = offset + n_bytes // 2, offset + n_bytes
    middle = damaged(path, tmp_path, data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(UnreadableImage):
        list(open_slide(middle).tiles(64, min_tissue=0))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_a_tile_that_says_it_is_huge_is_not_decoded(compression: str, axis: int, tmp_path: Path) -> None:
    path = write_slide(tmp_path / "slide", LEVELS, compression=compression)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[0]
    if compression == "jpeg":
        at = data.index(b"\xff\xc0", offset) + 5 + 2 * axis
        data[at : at + 2] = b"\xff\xdc"
    else:
        at = data.index(b"\xff\x4f\xff\x51", offset) + 8 + 4 * axis
        data[at : at + 4] = b"\x00\x01\xff\xff"
    with pytest.raises(UnreadableImage, match="tile 0 is not what its level says"):
        list(open_slide(damaged(path, tmp_path, bytes(data))).tiles(64, min_tissue=0))


def test_truncated_slides_are_told(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    for part in (0.02, 0.3, 0.6, 0.8, 0.9):
        with pytest.raises(UnreadableImage):
            list(dualsight.image.open(damaged(path, tmp_path, data[: int(len(data) * part)])))
    whole, cut = (list(open_slide(p).tiles(64)) for p in (path, damaged(path, tmp_path, data[:-100])))
    assert len(whole) == len(cut)  # what is lost belongs to a level that was not asked for
    with pytest.raises(UnreadableImage, match="tile"):
        list(open_slide(tmp_path / "damaged").tiles(64, level=2, min_tissue=0))


def test_directories_that_lead_in_circles_end(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    (first,) = struct.unpack_from("<Q", data, 8)
    directory = first
    while True:
        (n_tags,) = struct.unpack_from("<Q", data, directory)
        following = directory + 8 + 20 * n_tags
        (after,) = struct.unpack_from("<Q", data, following)
        if not after:
            break
        directory = after
    loop = data[:following] + struct.pack("<Q", first) + data[following + 8 :]
    slide = open_slide(damaged(path, tmp_path, loop))
    assert slide.n_levels == 3
    assert len(list(slide.tiles(100))) == len(list(open_slide(path).tiles(100)))


def test_sub_directories_that_are_the_page_itself_end(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "slide", LEVELS, sub=True)
    data = path.read_bytes()
    (first,) = struct.unpack_from("<Q", data, 8)
    (list_at,) = struct.unpack_from("<Q", data, entry_at(data, 330) + 12)
    changed = data[:list_at] + struct.pack("<QQ", first, first) + data[list_at + 16 :]
    with pytest.raises(UnsupportedImage, match="several resolutions"):
        open_slide(damaged(path, tmp_path, changed))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_slides_give_tiles_or_an_image_error_in_time(
    path: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<Q", content, 8)
    for _ in range(data.draw(st.integers(1, 3))):  # mostly in the directory, where it hurts
        at = data.draw(st.one_of(st.integers(first, first + 330), st.integers(0, len(content) - 1)))
        content[at] = data.draw(st.integers(0, 255))
    changed = tmp_path_factory.getbasetemp() / "mutated"
    changed.write_bytes(content)
    started = time.process_time()
    try:
        for frame in open_slide(changed, limits=Limits(pixels=5_000_000, frames=1000)).tiles(128):
            assert frame.pixels.dtype == np.uint8
    except ImageError as error:
        assert str(error).startswith(str(changed))
    assert time.process_time() - started < 5


# --- memory


_MEASURE = """
import json, sys
from dualsight.engine.memory import peak_bytes
from dualsight.image.slide.decode import open_slide
import numpy, PIL.Image, scipy.ndimage, tifffile, imagecodecs
before = peak_bytes()
slide = open_slide(sys.argv[1])
n = sum(frame.pixels.shape == (480, 480, 3) for frame in slide.tiles(480))
print(json.dumps([n, (peak_bytes() - before) / 2**20]))
"""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def peak_mb(path: Path) -> tuple[int, float]:
    """How many tiles a fresh process gives, and by how much its memory grew at most."""
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True)
    n, megabytes = json.loads(done.stdout)
    return n, megabytes


@linux_only
@pytest.mark.slow  # a gigapixel slide, on disk too; that of a smaller one, below, is always measured
def test_memory_is_bounded_by_the_tile_whatever_the_slides_size(tmp_path: Path) -> None:
    """40,000 × 40,000 pixels would be 4.8 GB as one picture."""
    blobs = [(5000, 6000, 3000, 2000), (30_000, 25_000, 6000, 7000)]
    large = write_sparse_slide(tmp_path / "large.tif", 40_000, blobs)
    n, megabytes = peak_mb(large)
    assert large.stat().st_size < 50_000_000
    assert 200 < n < 400
    assert megabytes < 130


@linux_only
def test_memory_of_a_smaller_slide_is_bounded_too(tmp_path: Path) -> None:
    n, megabytes = peak_mb(write_sparse_slide(tmp_path / "slide.tif", 8000, [(2000, 3000, 3000, 2000)]))
    assert n > 20
    assert megabytes < 150  # level 0 alone has 192


def test_slides_are_not_held_open_and_serve_several_readers(path: Path) -> None:
    slide = open_slide(path)
    assert isinstance(slide, Slide)
    for one, other in zip(slide.tiles(64), slide.tiles(64), strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_missing_file_or_another_format_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="cannot be read"):
        open_slide(tmp_path / "none.svs")
    (tmp_path / "text.svs").write_text("Aperio")
    with pytest.raises(UnsupportedImage, match="no"):
        open_slide(tmp_path / "text.svs")
