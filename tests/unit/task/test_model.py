"""What a user of `dualsight.load` relies on, on a small golden model."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import dualsight
from dualsight.errors import ConfigError, DualsightError, ImageError, TextError
from dualsight.image import group, scan
from dualsight.image.volume.series import read_slices, stack_slices
from dualsight.task.classify import Classification
from dualsight.task.embed import Embedded, Failed
from picture_files import png, write_frames
from series_files import break_pixels, write_series

Pictures = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def model(recipe_folder: Callable[[str], Path]) -> dualsight.Model:
    return dualsight.load(recipe_folder("davit-static-scale"))


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (40 + 7 * i, 64, 3), dtype=np.uint8) for i in range(7)]


def test_embeddings_do_not_depend_on_the_rest_of_the_batch(model: dualsight.Model, pictures: Pictures) -> None:
    together = model.encode_image(pictures, batch_size=7)
    alone = np.concatenate([model.encode_image(picture) for picture in pictures])
    reversed_ = model.encode_image(pictures[::-1], batch_size=3)[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-6, rtol=0)
    np.testing.assert_allclose(together, reversed_, atol=1e-6, rtol=0)


def test_text_embeddings_do_not_depend_on_the_rest_of_the_batch(recipe_folder: Callable[[str], Path]) -> None:
    texts = ["chest", "x-ray chest anteroposterior Pneumonia", "mri brain " * 30, "ct"]
    folder = recipe_folder("davit-static-scale")
    together = dualsight.load(folder).encode_text(texts)
    other = dualsight.load(folder)  # a memory of its own
    alone = np.concatenate([other.encode_text(text) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6, rtol=0)


def test_the_same_input_gives_the_same_bits(model: dualsight.Model, pictures: Pictures) -> None:
    assert np.array_equal(model.encode_image(pictures), model.encode_image(pictures))


def test_any_thread_gets_the_same(model: dualsight.Model, pictures: Pictures) -> None:
    expected = model.encode_image(pictures[0])
    results: list[NDArray[np.float32]] = []
    threads = [threading.Thread(target=lambda: results.append(model.encode_image(pictures[0]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_allclose(result, expected, atol=1e-6, rtol=0)


def test_one_picture_in_every_form(model: dualsight.Model, pictures: Pictures, tmp_path: Path) -> None:
    data = png(pictures[0])
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    text = base64.b64encode(data).decode()
    forms = [path, str(path), data, io.BytesIO(data), text, f"data:image/png;base64,{text}", pictures[0]]
    forms.append(Image.fromarray(pictures[0]))
    embeddings = model.encode_image(forms)
    assert embeddings.shape == (len(forms), 40)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, embeddings[:1].repeat(len(forms), 0), atol=1e-6, rtol=0)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


def test_a_stream_is_read_as_it_is_used(model: dualsight.Model, pictures: Pictures) -> None:
    opened = 0

    def endless() -> Iterator[NDArray[np.uint8]]:
        nonlocal opened
        while True:
            opened += 1
            yield pictures[0]

    stream = model.embed(endless(), batch_size=2)
    assert [next(stream).index for _ in range(3)] == [0, 1, 2]
    assert opened < 20
    stream.close()  # type: ignore[attr-defined]  # an iterator made by a generator


def test_one_bad_picture_fails_alone_and_by_name(model: dualsight.Model, pictures: Pictures, tmp_path: Path) -> None:
    bad = tmp_path / "broken.png"
    bad.write_bytes(png(pictures[0])[:-40])
    images = [pictures[0], bad, pictures[1]]
    with pytest.raises(ImageError, match=r"broken\.png"):
        model.encode_image(images)
    good = model.encode_image([pictures[0], pictures[1]])
    np.testing.assert_allclose(model.encode_image(images, on_error="skip"), good, atol=1e-6)
    first, error, last = model.encode_image(images, on_error="return")
    assert isinstance(error, ImageError)
    np.testing.assert_allclose(np.stack([first, last]), good, atol=1e-6)
    results = model.classify(images, ["a", "b"], on_error="return")
    assert [type(result).__name__ for result in results] == ["Classification", type(error).__name__, "Classification"]
    with pytest.raises(DualsightError, match="on_error"):
        model.encode_image(images, on_error="ignore")  # type: ignore[call-overload]  # a user's mistake


def test_several_frames_are_one_picture_unless_asked(
    model: dualsight.Model, pictures: Pictures, tmp_path: Path
) -> None:
    path = write_frames(tmp_path / "frames.tif", [picture[:40] for picture in pictures[:3]])
    each = [item for item in model.embed(path, per="frame")]
    assert [item.frame_index for item in each] == [0, 1, 2]
    mean = np.mean([item.vector for item in each], axis=0)
    whole = model.encode_image(path)
    assert whole.shape == (1, 40)
    np.testing.assert_allclose(whole[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_series_and_studies_are_one_result_each(model: dualsight.Model, tmp_path: Path) -> None:
    axial = write_series(tmp_path, 4, study="1.1", series="1.1.1")
    plain = write_series(tmp_path, 2, study="1.1", series="1.1.2", places=False)
    other = write_series(tmp_path, 1, study="1.2", series="1.2.1")
    mixed = [plain[1], axial[2], other[0], axial[0], str(plain[0]), axial[3].read_bytes(), axial[1]]
    first, second, third = model.embed(mixed, per="series")
    assert isinstance(first, Embedded) and isinstance(second, Embedded) and isinstance(third, Embedded)
    assert [one.source for one in (first, second, third)] == [str(plain[1]), str(axial[2]), str(other[0])]
    assert [one.meta.series_instance_uid for one in (first, second, third)] == ["1.1.2", "1.1.1", "1.2.1"]
    assert [one.n_frames for one in (first, second, third)] == [2, 4, 1]
    volume = stack_slices([one for path in axial for one in read_slices(path, "x")], "x")
    slices = np.mean(model.encode_image(list(volume.slices("axial"))), axis=0)
    np.testing.assert_allclose(second.vector, slices / np.linalg.norm(slices), atol=1e-6)
    files = np.mean(model.encode_image(plain), axis=0)
    np.testing.assert_allclose(first.vector, files / np.linalg.norm(files), atol=1e-6)
    studies = list(model.embed(mixed, per="study"))
    assert [(one.meta.study_instance_uid, one.n_frames) for one in studies] == [("1.1", 6), ("1.2", 1)]  # type: ignore[union-attr]
    assert [one.meta.series_instance_uid for one in studies] == [None, None]  # type: ignore[union-attr]
    labels = ["a", "b"]
    answers = model.classify(mixed, labels, per="study")
    assert [answer.n_frames for answer in answers if isinstance(answer, Classification)] == [6, 1]


def test_the_pool_is_the_users(model: dualsight.Model, tmp_path: Path) -> None:
    paths = write_series(tmp_path, 3, places=False)
    each = model.encode_image(paths)
    for pool in ("mean", "median", "max"):
        expected = getattr(np, pool)(each, axis=0)
        (vector,) = model.encode_image(paths, per="series", pool=pool)  # type: ignore[call-overload]
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)
    for wrong in ({"pool": "sum"}, {"per": "patient"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            model.embed(paths, **wrong)  # type: ignore[arg-type]


def test_one_bad_file_of_a_series_fails_alone_and_by_name(model: dualsight.Model, tmp_path: Path) -> None:
    paths = write_series(tmp_path, 5)
    others = [path for path in paths if path != paths[1]]
    whole = model.encode_image(others, per="series")
    broken = break_pixels(paths[1])
    bad, good = model.embed(paths, per="series")
    assert isinstance(bad, Failed) and bad.source == str(broken) == bad.error.source
    assert isinstance(good, Embedded) and good.n_frames == 4
    assert (good.meta.note or "").startswith("1 file left out as unreadable; 1 gaps")
    np.testing.assert_allclose(good.vector, whole[0], atol=1e-6)
    for path in others:
        break_pixels(path)
    *each, together = model.embed(paths, per="series")
    assert len(each) == 5 and isinstance(together, Failed) and "none of the 5 files" in str(together.error)


def test_a_series_that_the_user_made_is_taken_as_it_is(model: dualsight.Model, tmp_path: Path) -> None:
    write_series(tmp_path, 3)
    found = list(group(scan(tmp_path), per="series"))
    np.testing.assert_array_equal(model.encode_image(found), model.encode_image(scan(tmp_path), per="series"))


def test_probabilities_of_softmax_and_sigmoid(model: dualsight.Model, pictures: Pictures) -> None:
    labels = ["pneumonia", "no finding", "edema"]
    (one,) = model.classify(pictures[0], labels)
    (many,) = model.classify(pictures[0], labels, multilabel=True)
    assert isinstance(one, Classification)
    assert isinstance(many, Classification)
    cosines = model.similarity(pictures[0], labels)[0].astype(float) * np.exp(model.logit_scale)
    softmax = np.exp(cosines - cosines.max()) / np.exp(cosines - cosines.max()).sum()
    np.testing.assert_allclose([one.as_dict()[label] for label in labels], softmax, atol=1e-5)
    np.testing.assert_allclose([many.as_dict()[label] for label in labels], 1 / (1 + np.exp(-cosines)), atol=1e-5)
    assert one.top == labels[int(cosines.argmax())]


def test_templates_are_averaged(model: dualsight.Model, pictures: Pictures) -> None:
    templates = ["x-ray {label}", "a picture of {label}"]
    (result,) = model.classify(pictures[0], ["a", "b"], templates=templates, multilabel=True)
    assert isinstance(result, Classification)
    image = model.encode_image(pictures[0])[0]
    for label in ("a", "b"):
        mean = model.encode_text([t.format(label=label) for t in templates]).mean(0)
        logit = float(image @ (mean / np.linalg.norm(mean)) * np.exp(model.logit_scale))
        assert result.as_dict()[label] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([], "no labels"),
        (["a", "a"], "more than once"),
        ("a,b", "one string"),
        (["a", " "], "blank"),
        ([1], "not a str"),
    ],
)
def test_unusable_labels(model: dualsight.Model, pictures: Pictures, labels: list[str], problem: str) -> None:
    with pytest.raises(TextError, match=problem):
        model.classify(pictures[0], labels)


@pytest.mark.parametrize(("bad", "problem"), [("half \ud83d", "valid Unicode"), (7, "an? int, not a string")])
def test_a_text_that_is_none_is_named_by_the_callers_index(model: dualsight.Model, bad: str, problem: str) -> None:
    texts = ["a text that is longer than the next", "next", *(f"text {i}" for i in range(100)), bad]
    with pytest.raises(TextError, match=f"text 102 is .*{problem}"):
        model.encode_text(texts)


def test_labels_seen_before_cost_nothing(recipe_folder: Callable[[str], Path]) -> None:
    model = dualsight.load(recipe_folder("davit-static-scale"))
    calls = []
    encode = model.engine.encode_texts
    model.engine.encode_texts = lambda *args: calls.append(1) or encode(*args)  # type: ignore[func-returns-value]
    first = model.encode_text(["a", "b", "a"])
    assert len(calls) == 1
    again = model.encode_text(["b", "a"])
    assert len(calls) == 1
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(again, first[[1, 0]])


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_of_no_pictures_is_refused(model: dualsight.Model, pictures: Pictures, size: int) -> None:
    with pytest.raises(ConfigError, match=f"a batch of {size} pictures"):
        model.embed(pictures, batch_size=size)  # at once, not with the first result
    with pytest.raises(ConfigError, match=f"a batch of {size} pictures") as caught:
        model.classify(pictures, ["a"], batch_size=size)
    assert caught.value.hint == "1 or more"


def test_nothing_in_nothing_out(model: dualsight.Model) -> None:
    assert model.encode_image([]).shape == (0, 40)
    assert model.encode_text([]).shape == (0, 40)
    assert model.classify([], ["a"]) == []
    with pytest.raises(DualsightError, match="needs images, texts"):
        model.similarity()


def test_similarity_of_images_with_texts_and_with_themselves(model: dualsight.Model, pictures: Pictures) -> None:
    assert model.similarity(pictures[:3], ["a", "b"]).shape == (3, 2)
    own = model.similarity(pictures[:3])
    np.testing.assert_allclose(own, own.T, atol=1e-6)
    np.testing.assert_allclose(np.diag(own), 1, atol=1e-5)
    assert model.similarity(texts=["a", "b"]).shape == (2, 2)


def test_a_model_stays_in_evaluation_mode(model: dualsight.Model) -> None:
    assert not any(module.training for module in model.checkpoint.model.modules())


def test_no_such_device(recipe_folder: Callable[[str], Path]) -> None:
    with pytest.raises(DualsightError, match="no device 'gpu'"):
        dualsight.load(recipe_folder("davit-static-scale"), device="gpu")


def test_config_of_an_unknown_encoder_names_file_and_key(recipe_folder: Callable[[str], Path], tmp_path: Path) -> None:
    text = (recipe_folder("davit-static-scale") / "config.yaml").read_text().replace("davit_v1", "resnet")
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"config\.yaml: IMAGE_ENCODER\.NAME is 'resnet'"):
        dualsight.load(tmp_path)
