"""Maps of whole pictures by every method: where they lie, what they say, that they say it again."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dualsight.errors import ConfigError, TextError, UnreadableImage
from dualsight.learn.phantom.catalogue import HELD_OUT, MODALITIES, draw
from dualsight.task.explain.explain import (
    METHODS,
    Target,
    explain,
    explain_frame,
    find_method,
    label_target,
    picture_target,
)
from dualsight.task.explain.grad_cam import GradCam
from dualsight.task.explain.method import Heat, Vector
from dualsight.task.explain.multi_scale import MultiScale
from dualsight.task.explain.occlusion import Occlusion
from dualsight.task.explain.rise import Rise
from dualsight.task.model import Model

QUICK = {"multi-scale": MultiScale(samples=8), "token-shares": "token-shares", "grad-cam": "grad-cam",
         "occlusion": Occlusion(step=0.2), "rise": Rise(n=40)}  # fmt: skip


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (60, 90, 3), np.uint8)


def test_every_method_is_tried_here() -> None:
    assert list(QUICK) == list(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_same_picture_same_map(model: Model, picture: NDArray, name: str) -> None:
    one, again = (explain(model, picture, "pneumonia", method=QUICK[name]) for _ in range(2))
    assert one.map.shape == (60, 90) and one.map.dtype == np.float32 and np.isfinite(one.map).all()
    assert np.array_equal(one.map, again.map)
    assert one.map.max() > one.map.min()
    expected = model.similarity(picture, "pneumonia")[0, 0]
    assert one.similarity == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_contrast_turned_round_turns_the_sign(model: Model, picture: NDArray, name: str) -> None:
    one = explain(model, picture, "pneumonia", against="no finding", method=QUICK[name])
    other = explain(model, picture, "no finding", against="pneumonia", method=QUICK[name])
    assert one.similarity == pytest.approx(-other.similarity, abs=1e-6)
    scale = np.abs(one.map).max()
    np.testing.assert_allclose(one.map, -other.map, atol=1e-3 * scale)


def test_the_default_map_follows_a_finding(demo: Model) -> None:
    """One phantom, and the same mirrored: the map is mirrored too, nearly."""
    modality = next(m for m in MODALITIES if m.name == "mri")
    phantom = draw(modality, "axial flair", "brain tumor", patient=HELD_OUT + 77_003, size=112)
    one = explain(demo, phantom.pixels, "brain tumor", against="no finding")
    other = explain(demo, phantom.pixels[:, ::-1], "brain tumor", against="no finding")
    assert np.corrcoef(one.map.ravel(), other.map[:, ::-1].ravel())[0, 1] > 0.5
    assert np.corrcoef(one.map.ravel(), other.map.ravel())[0, 1] < 0.9


def test_against_several_is_against_their_mean(model: Model) -> None:
    target = label_target(model, "a", against=["b", "c"])
    a, b, c = model.encode_text(["a", "b", "c"])
    np.testing.assert_allclose(target.direction, a - (b + c) / 2, atol=1e-6)
    assert target.against == ("b", "c")


def test_towards_another_picture(model: Model, picture: NDArray) -> None:
    target = picture_target(model, picture, label="like itself")
    assert model.encode_image(picture)[0] @ target.direction == pytest.approx(1, abs=1e-5)
    with pytest.raises(UnreadableImage):
        picture_target(model, "nowhere.png", label="like nothing")


class Corner:
    """Heat in the upper left corner only."""

    def __call__(self, model: Model, pixels: NDArray[np.float32], direction: Vector) -> Heat:
        values = np.zeros((8, 8), np.float32)
        values[0, 0] = 1
        return Heat(values=values, unit="corners", rest=2.0)


def test_a_method_of_ones_own(model: Model, picture: NDArray) -> None:
    explanation = explain(model, picture, "anything", method=Corner())
    assert (explanation.method, explanation.unit, explanation.rest) == ("Corner", "corners", 2.0)
    assert explanation.grid == (8, 8) and explanation.map.argmax() // 90 < 10 and explanation.map.argmax() % 90 < 12


def test_another_frame(model: Model, picture: NDArray, tmp_path) -> None:  # type: ignore[no-untyped-def]
    from PIL import Image

    path = tmp_path / "two.tif"
    Image.fromarray(picture).save(path, save_all=True, append_images=[Image.fromarray(picture[:, ::-1])])
    second = explain(model, path, "pneumonia", method="grad-cam", frame_index=1)
    mirrored = explain(model, picture[:, ::-1], "pneumonia", method="grad-cam")
    assert second.frame.frame_index == 1 and np.array_equal(second.map, mirrored.map)
    for index in (2, -1):
        with pytest.raises(UnreadableImage, match=f"no frame {index}"):
            explain(model, path, "pneumonia", frame_index=index)


def test_what_cannot_be_meant(model: Model, picture: NDArray) -> None:
    with pytest.raises(ConfigError, match="no method 'magic'") as error:
        find_method("magic")
    assert "grad-cam" in error.value.hint
    with pytest.raises(TextError, match="against itself"):
        explain(model, picture, "a", against="a")
    with pytest.raises(TextError):
        explain(model, picture, " ")
    with pytest.raises(ConfigError, match="no stage 9"):
        explain(model, picture, "a", method=GradCam(stage=9))


def test_frames_are_taken_as_they_are(model: Model, picture: NDArray) -> None:
    explanation = explain(model, picture, "a", method="grad-cam")
    target = Target(label="a", direction=model.encode_text("a")[0])
    again = explain_frame(model, explanation.frame, target, method="grad-cam")
    assert np.array_equal(explanation.map, again.map)
    assert np.array_equal(explanation.frame.pixels, picture)
