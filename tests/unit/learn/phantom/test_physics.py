"""Shapes, line integrals and noise that the phantoms share."""

import numpy as np
import pytest

from dualsight.learn.phantom import physics


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_distance_to_a_circle_is_exact() -> None:
    x, y = physics.grid(90)
    away = np.sqrt((x - 0.1) ** 2 + (y + 0.2) ** 2)
    np.testing.assert_allclose(physics.ellipse(x, y, (0.1, -0.2), (0.3, 0.3)), 0.3 - away, atol=1e-5)


def test_angle_turns_clockwise_as_displayed() -> None:
    x, y = physics.grid(144)
    inside = physics.ellipse(x, y, (0, 0), (0.8, 0.2), np.pi / 4) > 0
    assert inside[(x > 0.4) & (np.abs(x - y) < 0.05) & (x < 0.5)].all()  # right and down
    assert not inside[(x > 0.4) & (np.abs(x + y) < 0.05)].any()


def test_chords_of_a_sphere_sum_to_its_volume() -> None:
    x, y = physics.grid(256)
    pixel = (2 * physics.REACH / 256) ** 2
    volume = physics.chord(physics.radius(x, y, (0, 0), (0.5, 0.5)), 0.5).sum() * pixel
    assert volume == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.01)


def test_blob_without_roughness_is_a_circle() -> None:
    x, y = physics.grid(64)
    np.testing.assert_allclose(
        physics.blob(rng(), x, y, (0.2, 0), 0.4, 0.0), physics.ellipse(x, y, (0.2, 0), (0.4, 0.4)), atol=1e-5
    )


def test_noise_is_the_same_field_at_every_size() -> None:
    small, large = physics.smooth_noise(rng(), 72, 0.2), physics.smooth_noise(rng(), 144, 0.2)
    np.testing.assert_allclose(large.reshape(72, 2, 72, 2).mean(axis=(1, 3)), small, atol=0.05)


def test_noise_has_unit_variance() -> None:
    field = physics.smooth_noise(rng(), 256, 0.03)
    assert field.std() == pytest.approx(1, abs=0.1)
    assert field.mean() == pytest.approx(0, abs=0.1)


def test_power_noise_is_coarser_the_steeper_its_spectrum() -> None:
    def roughness(beta: float) -> float:
        field = physics.power_noise(rng(), 144, beta)
        return float(np.diff(field).std() / field.std())

    assert roughness(4.0) < roughness(3.0) < roughness(2.0)


def test_pose_moves_to_the_right_and_down() -> None:
    canvas = np.zeros((144, 144), bool)
    canvas[70:74, 70:74] = True
    rows, columns = np.nonzero(physics.Pose(x=0.5, y=0.25).place_mask(canvas, 128))
    assert columns.mean() == pytest.approx(63.5 + 32, abs=1)
    assert rows.mean() == pytest.approx(63.5 + 16, abs=1)


def test_pose_cuts_the_middle_out_unchanged() -> None:
    canvas = rng().random((144, 144), dtype=np.float32)
    np.testing.assert_allclose(physics.Pose().place(canvas, 128), canvas[8:-8, 8:-8], atol=1e-5)


def test_zoom_magnifies() -> None:
    x, y = physics.grid(144)
    disc = physics.ellipse(x, y, (0, 0), (0.3, 0.3)) > 0
    plain, zoomed = (physics.Pose(zoom=zoom).place_mask(disc, 128).sum() for zoom in (1.0, 2.0))
    assert zoomed / plain == pytest.approx(4, rel=0.05)


def test_variance_of_counts_is_their_mean() -> None:
    counts = physics.counted(rng(), np.full((200, 200), 400, np.float32))
    assert counts.mean() == pytest.approx(400, rel=0.01)
    assert counts.var() == pytest.approx(400, rel=0.05)


def test_strand_lies_where_its_line_lies() -> None:
    drawn = physics.strands(144, [np.array([[-0.5, 0.0], [0.5, 0.0]])], [0.1], [2.0])
    x, y = physics.grid(144)
    assert drawn[(np.abs(x) < 0.4) & (np.abs(y) < 0.03)].min() == pytest.approx(2.0)
    assert drawn[np.abs(y) > 0.08].max() == 0


def test_grey_levels_are_clipped() -> None:
    assert physics.to_uint8(np.array([[-1.0, 0.5, 2.0]])).tolist() == [[0, 128, 255]]
