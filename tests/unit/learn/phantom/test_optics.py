"""The camera and the fine brushes that colour phantoms share."""

import numpy as np
import pytest

from dualsight.learn.phantom.optics import Pose, develop, grow, lattice, patches, rgb, ribbons, stamp, texture


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize("mirror", [False, True])
def test_pixels_undoes_plane(mirror: bool) -> None:
    pose = Pose(size=33, reach=1.4, angle=0.7, u=0.3, v=-0.2, mirror=mirror)
    x, y = pose.pixels(*pose.plane())
    rows, columns = np.mgrid[:33, :33]
    np.testing.assert_allclose(x, columns, atol=1e-3)
    np.testing.assert_allclose(y, rows, atol=1e-3)


def test_texture_is_a_function_of_the_place() -> None:
    values = lattice(np.random.default_rng(0))
    u, v = Pose(size=32, reach=2.0).plane()
    whole = texture(values, u, v, 5.0, 2)
    np.testing.assert_array_equal(texture(values, u[8:16], v[8:16], 5.0, 2), whole[8:16])
    assert 0.3 < whole.std() < 1.0


def test_texture_is_smooth_and_repeats() -> None:
    values = lattice(np.random.default_rng(0))
    u = np.linspace(-70, 70, 100_001, dtype=np.float32)
    noise = texture(values, u, np.zeros_like(u), 1.0)
    assert np.abs(np.diff(noise)).max() < 0.02
    np.testing.assert_allclose(noise[:1000], texture(values, u + 64, np.zeros_like(u), 1.0)[:1000], atol=0.01)


def test_stamp_covers_the_area_of_an_ellipse() -> None:
    cover = stamp(64, column(30.3), column(31.8), column(9.0), column(5.0), column(0.6), column(1.0))
    assert cover.sum() == pytest.approx(np.pi * 45, rel=0.05)


def test_stamp_turns_the_long_axis() -> None:
    cover = stamp(64, column(32), column(32), column(12), column(2), column(np.pi / 2), column(1))
    rows, columns = np.nonzero(cover > 0.5)
    assert np.ptp(rows) > 3 * np.ptp(columns)


def test_stamp_keeps_to_the_picture() -> None:
    beyond = stamp(32, column(-40, 90), column(5, 5), column(4, 4), column(4, 4), column(0, 0), column(1, 1))
    assert not beyond.any()
    last = column(36.9)  # the farthest place that still counts as near
    assert not stamp(32, last, last, column(4), column(4), column(0), column(1)).any()
    corner = stamp(32, column(0.0), column(31.0), column(5), column(5), column(0), column(1))
    assert corner[31, 0] == 1 and corner[0].max() == 0 and corner[:, 31].max() == 0


def test_nothing_to_draw() -> None:
    none = np.zeros(0, np.float32)
    assert not stamp(16, none, none, none, none, none, none).any()
    assert not patches(Pose(size=16, reach=1.0), np.zeros((0, 5, 2), np.float32), none).any()


def test_ribbon_has_its_width() -> None:
    pose = Pose(size=128, reach=1.0)
    curve = np.stack([np.linspace(-2, 2, 20), np.zeros(20)], axis=1)[None].astype(np.float32)
    cover = ribbons(pose, curve, np.full((1, 20), 0.05, np.float32), np.ones(1, np.float32))
    assert cover[:, 64].sum() == pytest.approx(2 * 0.05 * pose.scale, abs=0.7)


def test_patch_has_its_area() -> None:
    square = np.array([[[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]], np.float32)
    cover = patches(Pose(size=64, reach=1.0, angle=0.4), square, np.ones(1, np.float32))
    assert cover.sum() == pytest.approx(32 * 32, rel=0.06)


def test_grow_starts_where_told_and_has_its_length() -> None:
    start = np.array([[0.2, -0.1], [1.0, 2.0]], np.float32)
    curves, headings = grow(np.random.default_rng(0), start, column(0, 1), column(1.0, 3.0), 0.8, 50)
    np.testing.assert_allclose(curves[:, 0], start)
    length = np.linalg.norm(np.diff(curves, axis=1), axis=2).sum(axis=1)
    np.testing.assert_allclose(length, [0.98, 2.94], rtol=1e-3)
    assert headings.shape == (2, 50)


def test_develop_keeps_colours_apart_and_black_dark() -> None:
    light = np.ones((3, 32, 32), np.float32) * rgb(0.6, 0.3, 0.1)
    light[:, :, :8] = 0
    pixels = develop(light, np.random.default_rng(0), tint=0.0)
    assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
    red, green, blue = pixels[:, 12:].mean(axis=(0, 1))
    assert red > green > blue
    assert pixels[:, :5].mean() < 6
